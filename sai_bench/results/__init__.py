"""Run records, summary tables and pictures."""
