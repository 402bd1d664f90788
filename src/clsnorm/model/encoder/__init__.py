"""From tokens to [CLS]: weights, model families, packing, the last layer."""
