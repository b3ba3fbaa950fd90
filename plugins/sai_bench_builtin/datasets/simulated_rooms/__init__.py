"""Data set `simulated_rooms`: extended, moving, overlapping sources in shoebox rooms (report 3.1.1)."""
