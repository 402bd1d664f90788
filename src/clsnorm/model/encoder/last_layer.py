"""The last layer, computed at [CLS] only, as its other outputs are not used: one adapter for each kind of layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.model.encoder.packing import Packing


class ClsOnlyLayer(nn.Module):
    r"""Mixin for a layer; with ``cls_only=True`` it returns only the outputs at [CLS].

    With one query per sequence, keys and values need not be projected token by token. For head h and query q,

    .. math:: q \cdot (W_k x_t + b_k) = (W_k^\top q) \cdot x_t + q \cdot b_k, \qquad
        \sum_t p_t (W_v x_t + b_v) = W_v \sum_t p_t x_t + b_v \sum_t p_t

    so both projections act on one vector per sequence and head (rotated keys are projected). Equal to the whole layer
    up to the order of float sums; attention dropout (which makes :math:`\sum_t p_t \neq 1`) acts on the same weights,
    with a different mask.
    """

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
            attention_mask = packing.attention_mask(self.window())
        # (B, 1, T), or (1, 1, T) if the same for all: the row of the first query
        mask = None if attention_mask is None else attention_mask[..., :1, :].reshape(-1, 1, attention_mask.shape[-1])
        out = self.at_cls(hidden_states, mask, packing=packing, **kwargs)
        return out[:, None] if packing is None else out[None]

    def window(self) -> int | None:
        """Returns how many positions away a key may be, exclusive; None: any."""
        return None

    @abstractmethod
    def at_cls(self, tokens: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
        """Returns the layer's output at the first of the ``tokens`` ``(B, T, d)``, ``(B, d)``.

        Args:
            tokens: The layer's input, padded.
            mask: Boolean ``(B or 1, 1, T)``: the keys that [CLS] attends to; None: all.
            kwargs: The layer's further arguments.
        """


class BertCls(ClsOnlyLayer):
    """BERT's layer, and that of the families with its modules."""

    attention: Any
    intermediate: Any
    output: Any

    def at_cls(self, tokens: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
        cls, attention = tokens[:, 0], self.attention.self
        parts = (attention.query, attention.key, attention.value)
        context = _attend(parts, attention, cls, tokens, mask, dropout=attention.dropout.p)
        attended = self.attention.output(context, cls)
        out: Tensor = self.output(self.intermediate(attended), attended)
        return out


class DistilBertCls(ClsOnlyLayer):
    """DistilBERT's layer."""

    attention: Any
    sa_layer_norm: Any
    ffn: Any
    output_layer_norm: Any

    def at_cls(self, tokens: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
        cls, attention = tokens[:, 0], self.attention
        parts = (attention.q_lin, attention.k_lin, attention.v_lin)
        context = _attend(parts, attention, cls, tokens, mask, dropout=attention.dropout.p)
        attended = self.sa_layer_norm(attention.out_lin(context) + cls)
        out: Tensor = self.output_layer_norm(self.ffn.ff_chunk(attended) + attended)
        return out


class AlbertCls(ClsOnlyLayer):
    """ALBERT's layer, in its last pass."""

    attention: Any
    full_layer_layer_norm: Any
    ff_chunk: Callable[[Tensor], Tensor]

    def at_cls(self, tokens: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
        cls, attention = tokens[:, 0], self.attention
        parts = (attention.query, attention.key, attention.value)
        context = _attend(parts, attention, cls, tokens, mask, dropout=attention.attention_dropout.p)
        attended = attention.LayerNorm(cls + attention.output_dropout(attention.dense(context)))
        out: Tensor = self.full_layer_layer_norm(self.ff_chunk(attended) + attended)
        return out


class ModernBertCls(ClsOnlyLayer):
    """ModernBERT's layer: its norms come first, keys and queries are rotated by position, and it may have a window."""

    attn: Any
    attn_norm: Any
    mlp: Any
    mlp_norm: Any

    def window(self) -> int | None:
        window: int | None = self.attn.sliding_window
        return window

    def at_cls(self, tokens: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
        cls, attention, x = tokens[:, 0], self.attn, self.attn_norm(tokens)
        packing, turns = kwargs.get("packing"), kwargs["position_embeddings"]
        cos, sin = (turn if packing is None else packing.pad(turn[0]) for turn in turns)
        weights = attention.Wqkv.weight.unflatten(0, (3, -1, attention.head_dim))
        bias = attention.Wqkv.bias
        biases = [None] * 3 if bias is None else bias.unflatten(0, (3, -1, attention.head_dim))
        query, keys = (
            _rotated(_project(rows, weights[part], biases[part]), cos[:, : rows.shape[1]], sin[:, : rows.shape[1]])
            for part, rows in ((0, x[:, :1]), (1, x))
        )
        scores = torch.einsum("bhe,bthe->bht", query[:, 0], keys) * attention.head_dim**-0.5
        dropout = attention.attention_dropout if attention.training else 0.0
        context = _pooled(scores, x, mask, weights[2], biases[2], dropout=dropout)
        attended = cls + attention.out_drop(attention.Wo(context))
        out: Tensor = attended + self.mlp(self.mlp_norm(attended))
        return out


class AlbertPasses(nn.Module):
    """Mixin for ALBERT's stack, which runs the same layers several times: ``cls_only`` is for the last run."""

    config: Any
    embedding_hidden_mapping_in: Any
    albert_layer_groups: Any

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *, cls_only: bool = False, **kwargs: Any
    ) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        if not cls_only:
            return super().forward(hidden_states, attention_mask, **kwargs)
        hidden_states = self.embedding_hidden_mapping_in(hidden_states)
        order = albert_layers(self)
        for layer in order[:-1]:
            hidden_states = layer(hidden_states, attention_mask, **kwargs)
        return BaseModelOutput(last_hidden_state=order[-1](hidden_states, attention_mask, cls_only=True, **kwargs))


def albert_layers(stack: Any) -> list[nn.Module]:
    """Returns ALBERT's layers in the order in which they run; one that runs several times is repeated."""
    passes, groups = stack.config.num_hidden_layers, stack.albert_layer_groups
    per_group = passes / len(groups)
    return [layer for number in range(passes) for layer in groups[int(number / per_group)].albert_layers]


def _project(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns ``(B, T, heads, e)``, the projection of ``rows`` ``(B, T, d)`` by ``weight`` ``(heads, e, d)``."""
    projected = F.linear(rows, weight.flatten(0, 1), None if bias is None else bias.flatten())
    return projected.unflatten(-1, weight.shape[:2])


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Returns ``x`` ``(B, T, heads, e)`` rotated by the angles of each position, ``(B, T, e)``, in float32."""
    wide, half = x.float(), x.shape[-1] // 2
    turned = torch.cat([-wide[..., half:], wide[..., :half]], dim=-1)
    return (wide * cos[:, :, None] + turned * sin[:, :, None]).to(x.dtype)


def _attend(
    parts: tuple[Any, Any, Any], attention: Any, cls: Tensor, tokens: Tensor, mask: Tensor | None, *, dropout: float
) -> Tensor:
    """Returns the multi-head attention of ``cls`` ``(B, d)`` over ``tokens`` ``(B, T, d)``, ``(B, d)``."""
    query_part, *others = parts
    query = query_part(cls).unflatten(-1, (-1, attention.attention_head_size))
    heads = query.shape[-2:]
    (key_weight, key_bias), (weight, bias) = (
        (m.weight.unflatten(0, heads), m.bias.unflatten(0, heads)) for m in others
    )
    scores = torch.einsum("bhe,hed->bhd", query, key_weight) @ tokens.mT + (query * key_bias).sum(-1, keepdim=True)
    scores = scores * attention.scaling
    return _pooled(scores, tokens, mask, weight, bias, dropout=dropout if attention.training else 0.0)


def _pooled(
    scores: Tensor, tokens: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None, *, dropout: float
) -> Tensor:
    """Returns the values' mean, weighted by the softmax of ``scores`` ``(B, heads, T)``; ``(B, d)``."""
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    shares = F.dropout(scores.softmax(-1), dropout, dropout > 0)
    pooled = shares.to(tokens.dtype) @ tokens
    context = torch.einsum("bhd,hed->bhe", pooled, weight)
    if bias is not None:
        context = context + bias * shares.sum(-1, keepdim=True)
    return context.flatten(1)


def allow_cls_only(model: Any, kind: str) -> None:
    """Adds the option ``cls_only`` to the last layer of ``model`` in place; parameters and their names stay.

    It replaces the class of the object, as torch's parametrizations do: a wrapper would rename the parameters, and
    calling parts of the layer from outside would bypass FSDP's hooks.

    Args:
        model: Of transformers.
        kind: Of `Family.last_layer`.
    """
    find, adapter = ADAPTERS[kind]
    if kind == "albert":
        _mix_in(model.encoder, AlbertPasses)
    _mix_in(find(model), adapter)


def _mix_in(module: nn.Module, mixin: type) -> None:
    module.__class__ = type(f"ClsOnly{type(module).__name__}", (mixin, type(module)), {})


ADAPTERS: dict[str, tuple[Callable[[Any], nn.Module], type[ClsOnlyLayer]]] = {
    "bert": (lambda model: model.encoder.layer[-1], BertCls),
    "distilbert": (lambda model: model.transformer.layer[-1], DistilBertCls),
    "albert": (lambda model: albert_layers(model.encoder)[-1], AlbertCls),
    "modernbert": (lambda model: model.layers[-1], ModernBertCls),
}
