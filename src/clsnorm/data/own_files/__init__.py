"""A user's own files: what is inferred about them."""
