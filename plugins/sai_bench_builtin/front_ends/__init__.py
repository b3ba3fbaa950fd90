"""Built-in front ends."""
