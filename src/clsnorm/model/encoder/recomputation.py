"""Gradient checkpointing: layers store their inputs alone, and are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class RecomputedLayer(nn.Module):
    """Mixin for a layer that is computed again in the backward pass (Chen et al., 2016, https://arxiv.org/abs/1604.06174).

    Between the two passes it stores only its inputs. Gradients are the same to the bit: the same operations run again,
    with the same random state. Hooks of the layer run once.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer's own ``forward``."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*args, **kwargs)
        return checkpoint(super().forward, *args, use_reentrant=False, **kwargs)


def recompute(layers: Iterable[nn.Module]) -> None:
    """Turns layers into `RecomputedLayer` in place; parameters and their names stay.

    Frozen layers are in evaluation mode, and autograd stores nothing there: they are computed once.
    """
    for layer in layers:
        layer.__class__ = type(f"Recomputed{type(layer).__name__}", (RecomputedLayer, type(layer)), {})
