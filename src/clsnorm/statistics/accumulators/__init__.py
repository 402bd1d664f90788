"""Accumulators of embeddings: exact for any split of the rows over batches and processes."""
