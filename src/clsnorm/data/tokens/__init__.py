"""Tokens: tokenization, its cache, batches and their order."""
