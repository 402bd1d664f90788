"""File formats: text, delimited, JSON Lines, Parquet, and layouts of several files."""
