"""Packing: sequences share one row, so linear layers process no padding, and attention stays within each sequence.

The encoder's linear layers, norms and activations work token by token, so they run on the packed row. Only attention
depends on where a sequence ends: it is computed on a padded copy, inside the attention function that is registered with
transformers. One batched kernel on that copy is faster than one kernel per sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from clsnorm.model.encoder.attention import Groups, attend
from clsnorm.model.encoder.dropout import is_faster

IMPLEMENTATION = "clsnorm_packed"  # the name under which transformers finds the two functions below


@dataclass(frozen=True)
class Packing:
    """How a packed row of N tokens maps to B sequences padded to the longest, T tokens.

    Attributes:
        count: B.
        longest: T.
        index: ``(N,)``: the index of each packed token among the ``B * T`` padded ones; None if nothing is padded.
        mask: Boolean ``(B, T)``, true at tokens; None if nothing is padded.
        lengths: ``(B,)``, on the CPU.
    """

    count: int
    longest: int
    index: Tensor | None
    mask: Tensor | None
    lengths: Tensor

    @classmethod
    def of(cls, lengths: Tensor, device: torch.device) -> Packing:
        """Builds the map from ``lengths`` ``(B,)`` on the CPU, B at least 1."""
        count, longest = lengths.numel(), int(lengths.max())
        mask = torch.arange(longest) < lengths[:, None]
        if bool(mask.all()):
            return cls(count, longest, None, None, lengths)
        index = mask.flatten().nonzero().squeeze(1)
        index, mask = index.to(device, non_blocking=True), mask.to(device, non_blocking=True)
        return cls(count, longest, index, mask, lengths)

    def pad(self, tokens: Tensor) -> Tensor:
        """Maps ``(N, ...)`` to ``(B, T, ...)``, zero in padding."""
        if self.index is not None:
            room = tokens.new_zeros(self.count * self.longest, *tokens.shape[1:])
            tokens = room.index_copy(0, self.index, tokens)
        return tokens.reshape(self.count, self.longest, *tokens.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """Maps ``(B, T, ...)`` back to ``(N, ...)``."""
        tokens = padded.reshape(self.count * self.longest, *padded.shape[2:])
        return tokens if self.index is None else tokens.index_select(0, self.index)

    def groups(self, heads: int) -> Groups:
        """Returns the groups of sequences for `attend`; built once, as all layers of a model have as many heads."""
        if heads not in self._groups:
            self._groups[heads] = Groups.of(self.lengths, heads)
        return self._groups[heads]

    @cached_property
    def _groups(self) -> dict[int, Groups]:
        return {}

    def attention_mask(self, window: int | None = None) -> Tensor | None:
        """Returns which keys each query attends to, broadcastable to ``(B, heads, T, T)``; None if to all.

        Args:
            window: A query attends to keys less than this many positions away (ModernBERT's local layers); None: all.
        """
        mask = None if self.mask is None else self.mask[:, None, None, :]
        if window is None or window >= self.longest:
            return mask
        place = torch.arange(self.longest, device=mask.device if mask is not None else None)
        near = (place[:, None] - place[None, :]).abs() < window
        return near if mask is None else mask & near


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Computes scaled dot-product attention within each packed sequence; without ``packing``, calls transformers' own.

    ``query``, ``key`` and ``value`` are ``(1, heads, N, head_dim)``; returns ``(1, N, heads, head_dim)``.
    """
    if packing is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, is_causal=False, **kwargs
        )
    is_global = sliding_window is None or sliding_window >= packing.longest
    if is_global and is_faster(query) and (0 < dropout < 1 or not (dropout or torch.is_grad_enabled())):
        rows = tuple(x[0].transpose(0, 1) for x in (query, key, value))
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return attend(rows, packing.groups(query.shape[1]), scaling=scale, dropout=dropout)[None], None
    query, key, value = (packing.pad(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
    mask = packing.attention_mask(sliding_window)
    if mask is not None:
        mask = mask.to(query.device)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling)
    return packing.unpad(out.transpose(1, 2))[None], None


def packed_mask(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """Returns transformers' mask for a padded batch; None for a packed one, which `packed_attention` masks."""
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


AttentionInterface.register(IMPLEMENTATION, packed_attention)
AttentionMaskInterface.register(IMPLEMENTATION, packed_mask)
