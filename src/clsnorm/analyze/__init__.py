"""[CLS] embeddings before and after fine-tuning: every layer, every statistic, next to its value for noise."""
