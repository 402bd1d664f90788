"""How files are read: text, delimited, JSON, Parquet, and published layouts."""
