"""A finished run as a model that other programs load."""
