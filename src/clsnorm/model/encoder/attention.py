"""Attention over packed sequences on a CPU: sequences of similar length are computed together.

Attention costs as much at padding as at tokens: over a batch padded to its longest text, most of the work is padding.
Here the sequences of a batch are sorted by length and cut into groups, each padded to its longest. Queries, keys and
values are gathered into the groups, and outputs and gradients back, without a zero-filled copy. With dropout, for which
torch has no fused kernel on a CPU, the single operations and their gradients are written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clsnorm.model.encoder.dropout import scaled_mask

MOST_GROUPS = 8
GROUP_COST = 30_000  # of a group's kernels, in elements of the attention matrices that take as long


@dataclass(frozen=True)
class Group:
    """Sequences that are computed together.

    Attributes:
        shape: Number of sequences, heads, and tokens of the longest one.
        source: ``(sequences * heads * tokens,)``: which row of the packed ``(N * heads, size)`` is at each place;
            padding holds the first token of its sequence.
        bias: ``(sequences * heads, 1, tokens)``: minus infinity at padding, else 0; None without padding.
        padding: Boolean ``(sequences, tokens)``, true at padding; None without padding.
    """

    shape: tuple[int, int, int]
    source: Tensor
    bias: Tensor | None
    padding: Tensor | None

    def gather(self, rows: Tensor) -> Tensor:
        """Returns ``(sequences * heads, tokens, size)`` of packed rows ``(N * heads, size)``."""
        count, heads, tokens = self.shape
        return rows.index_select(0, self.source).view(count * heads, tokens, -1)


@dataclass(frozen=True)
class Groups:
    """All groups of a batch.

    Attributes:
        groups: The groups.
        back: ``(N * heads,)``: where each packed row is among the rows of all groups, one group after the other.
    """

    groups: tuple[Group, ...]
    back: Tensor

    @classmethod
    def of(cls, lengths: Tensor, heads: int) -> Groups:
        """Groups sequences of these ``lengths`` ``(B,)``, B at least 1."""
        starts, order = lengths.cumsum(0) - lengths, lengths.argsort(stable=True)
        back = torch.empty(int(lengths.sum()), heads, dtype=torch.int64)
        groups, base = [], 0
        for chosen in _cut(order, lengths[order].numpy(), heads):
            each, head = lengths[chosen], torch.arange(heads)
            place = torch.arange(int(each.max()))
            real = place < each[:, None]
            token = starts[chosen][:, None] + place * real
            source = token[:, None, :] * heads + head[:, None]
            where = base + torch.arange(source.numel()).view(source.shape)
            back[token[real]] = where.transpose(1, 2)[real]
            base += source.numel()
            groups.append(Group(tuple(source.shape), source.flatten(), *_masks(real, heads)))  # type: ignore[arg-type]
        return cls(tuple(groups), back.flatten())

    @property
    def size(self) -> int:
        """Number of rows of all groups, padding included."""
        return sum(group.source.numel() for group in self.groups)

    def scatter(self, rows: Tensor) -> Tensor:
        """Returns packed rows ``(N * heads, size)`` of those of all groups."""
        return rows.index_select(0, self.back)

    def split(self, rows: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Yields each group with its part ``(sequences * heads, tokens, size)`` of the rows of all groups."""
        parts = rows.split([group.source.numel() for group in self.groups])
        for group, part in zip(self.groups, parts, strict=True):
            yield group, part.view(-1, group.shape[2], rows.shape[-1])


def _cut(order: Tensor, lengths: np.ndarray, heads: int) -> tuple[Tensor, ...]:
    """Cuts sequences, in the order of their lengths, into as many equal parts as cost least."""

    def cost(parts: int) -> float:
        each = np.array_split(lengths, parts)
        return sum(len(part) * heads * int(part[-1]) ** 2 for part in each) + parts * GROUP_COST

    best = min(range(1, min(MOST_GROUPS, len(lengths)) + 1), key=cost)
    return order.tensor_split(best)


def _masks(real: Tensor, heads: int) -> tuple[Tensor | None, Tensor | None]:
    if bool(real.all()):
        return None, None
    bias = torch.zeros(real.shape).masked_fill_(~real, -torch.inf)
    return bias.repeat_interleave(heads, 0)[:, None], ~real


class _Attention(torch.autograd.Function):
    r"""Softmax attention with dropout, of all groups: ``O = (softmax(s Q K^T) * M) V``, M a scaled mask."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, groups: Groups, scaling: float, dropout: float
    ) -> Tensor:
        flat = [rows.reshape(-1, rows.shape[-1]) for rows in (query, key, value)]
        out = flat[0].new_empty(groups.size, query.shape[-1])
        saved: list[Tensor] = []
        for group, rows in groups.split(out):
            q, k, v = (group.gather(each) for each in flat)
            q *= scaling
            scores = torch.bmm(q, k.mT)
            shares = torch.softmax(scores if group.bias is None else scores.add_(group.bias), -1)
            mask = scaled_mask(shares.shape, dropout)
            if group.padding is not None:  # no output, so no gradient either
                mask.view(*group.shape, -1).masked_fill_(group.padding[:, None, :, None], 0)
            dropped = shares * mask
            torch.bmm(dropped, v, out=rows)
            saved += [q, k, v, shares, mask, dropped]
        ctx.save_for_backward(*saved)
        ctx.groups, ctx.scaling = groups, scaling
        return groups.scatter(out).view(query.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        groups: Groups = ctx.groups
        saved = ctx.saved_tensors  # can be read only once with gradient checkpointing
        flat = grad.reshape(-1, grad.shape[-1])
        grads = [flat.new_empty(groups.size, grad.shape[-1]) for _ in range(3)]
        parts = zip(*(groups.split(rows) for rows in grads), strict=True)
        for number, ((group, for_query), (_, for_key), (_, for_value)) in enumerate(parts):
            q, k, v, shares, mask, dropped = saved[6 * number : 6 * number + 6]
            rows = group.gather(flat)
            torch.bmm(dropped.mT, rows, out=for_value)
            inner = torch._softmax_backward_data(torch.bmm(rows, v.mT).mul_(mask), shares, -1, shares.dtype)
            torch.bmm(inner, k, out=for_query).mul_(ctx.scaling)
            torch.bmm(inner.mT, q, out=for_key)
        return (*(groups.scatter(rows).view(grad.shape) for rows in grads), None, None, None)


def attend(rows: tuple[Tensor, ...], groups: Groups, *, scaling: float, dropout: float) -> Tensor:
    """Returns the attention of packed sequences, each within itself, ``(N, heads, size)``.

    Equal to torch's on each sequence, up to rounding and the mask that dropout draws.

    Args:
        rows: Queries, keys and values, each ``(N, heads, size)``, on the CPU.
        groups: Of the sequences and heads.
        scaling: Factor of the products of queries and keys.
        dropout: Probability by which each share of attention is left out, below 1.
    """
    if dropout > 0:
        out: Tensor = _Attention.apply(*rows, groups, scaling, dropout)
        return out
    flat = [each.reshape(-1, each.shape[-1]) for each in rows]
    parts = []
    for group in groups.groups:
        query, key, value = (group.gather(each).unflatten(0, group.shape[:2]) for each in flat)
        mask = None if group.padding is None else ~group.padding[:, None, None, :]
        part = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
        parts.append(part.reshape(-1, part.shape[-1]))
    return groups.scatter(torch.cat(parts)).view(rows[0].shape)
