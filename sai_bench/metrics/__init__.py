"""What metrics are made of: rendering, matching, average precision, correlation. Needs no torch."""
