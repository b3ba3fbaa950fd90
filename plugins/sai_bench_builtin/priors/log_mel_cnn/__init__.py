"""A small convolutional network on the log-mel spectrogram."""
