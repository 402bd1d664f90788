"""What the outlier dimensions of [CLS] do for a fine-tuned model: definitions, ablations, and random controls."""
