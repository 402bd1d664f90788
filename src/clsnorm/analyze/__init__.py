"""[CLS] embeddings before fine-tuning: every layer, every statistic, with its null beside it."""
