"""BERT's last layer, computed at [CLS] only, as its other outputs are not used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.model.encoder.packing import Packing


class ClsOnlyLayer(nn.Module):
    r"""Mixin for a layer with BERT's modules; with ``cls_only=True`` it returns only the outputs at [CLS].

    With one query per sequence, keys and values need not be projected token by token. For head h and query q,

    .. math:: q \cdot (W_k x_t + b_k) = (W_k^\top q) \cdot x_t + q \cdot b_k, \qquad
        \sum_t p_t (W_v x_t + b_v) = W_v \sum_t p_t x_t + b_v \sum_t p_t

    so both projections act on one vector per sequence and head. Equal to the whole layer up to the order of float
    sums; attention dropout (which makes :math:`\sum_t p_t \neq 1`) acts on the same weights, with a different mask.
    """

    attention: Any
    intermediate: Any
    output: Any

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        cls_only: bool = False,
        packing: Packing | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Returns ``(B, 1, d)`` for a padded batch and ``(1, B, d)`` for a packed one if ``cls_only``."""
        if not cls_only:
            return super().forward(hidden_states, attention_mask, *args, packing=packing, **kwargs)
        if packing is not None:
            hidden_states = packing.pad(hidden_states[0])
            attention_mask = packing.attention_mask()
        cls = hidden_states[:, 0]
        mask = None if attention_mask is None else attention_mask[:, 0, :1]  # (B, 1, T): the row of the first query
        context = _attend(self.attention.self, cls, hidden_states, mask)
        attended = self.attention.output(context, cls)
        out = self.output(self.intermediate(attended), attended)
        return out[:, None] if packing is None else out[None]


def _attend(attention: Any, cls: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the multi-head attention of ``cls`` ``(B, d)`` over ``tokens`` ``(B, T, d)``, ``(B, d)``."""
    heads, size = attention.num_attention_heads, attention.attention_head_size
    query = attention.query(cls).unflatten(-1, (heads, size))
    key_weight, value_weight = (m.weight.unflatten(0, (heads, size)) for m in (attention.key, attention.value))
    key_bias, value_bias = (m.bias.unflatten(0, (heads, size)) for m in (attention.key, attention.value))
    scores = torch.einsum("bhe,hed->bhd", query, key_weight) @ tokens.mT + (query * key_bias).sum(-1, keepdim=True)
    scores = scores * attention.scaling
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = F.dropout(scores.softmax(-1), attention.dropout.p, attention.training)
    pooled = weights.to(tokens.dtype) @ tokens
    context = torch.einsum("bhd,hed->bhe", pooled, value_weight) + value_bias * weights.sum(-1, keepdim=True)
    return context.flatten(1)


def allow_cls_only(layer: nn.Module) -> None:
    """Adds the option ``cls_only`` to ``layer`` in place; parameters and their names stay.

    It replaces the class of the object, as torch's parametrizations do: a wrapper would rename the parameters, and
    calling parts of the layer from outside would bypass FSDP's hooks.
    """
    layer.__class__ = type(f"ClsOnly{type(layer).__name__}", (ClsOnlyLayer, type(layer)), {})
