"""What holds a system back: parts of an evaluation, repaired predictions, resampled recordings."""
