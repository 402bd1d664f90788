"""Predictions of a finished run for new texts, as a command."""
