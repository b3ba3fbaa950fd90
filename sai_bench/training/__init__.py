"""Training a detector: what it hears and should find, the loop, and losses that decoders share."""
