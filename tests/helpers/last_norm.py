"""The layer norm at the end of an encoder, as passed to `ln_strip`."""

import torch
from torch import nn


def encoder_norm(dim: int) -> nn.LayerNorm:
    """The encoder's last layer norm, with one large scale and one of nearly zero, as BERT's has."""
    norm = nn.LayerNorm(dim)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-0.5, 1.5, dim))
        norm.bias.copy_(torch.linspace(1, -1, dim))
    return norm
