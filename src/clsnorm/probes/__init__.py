"""Frozen-encoder probes: what simple classifiers read from [CLS] before and after a normalizer, with certificates."""
