"""Config models of the built-in components, one module per kind. None imports torch."""
