"""Training: losses that decoders share."""
