"""Scores of a finished run on other data than those it was trained on."""
