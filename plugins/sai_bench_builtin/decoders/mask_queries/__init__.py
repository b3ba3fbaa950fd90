"""Decoder `mask_queries`: learned queries that attend to the sphere and become masks (report 2.2.3)."""
