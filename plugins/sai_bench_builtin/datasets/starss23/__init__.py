"""Data set `starss23`: real recordings with directions in CSV files, which become regions."""
