"""A user's own files: format, columns and metrics are inferred."""
