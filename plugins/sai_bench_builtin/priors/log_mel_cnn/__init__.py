"""A prior that learns in minutes: a small convolutional network on the log-mel spectrogram."""
