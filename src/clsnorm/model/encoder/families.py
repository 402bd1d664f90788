"""Differences between families of encoders, as data. An unlisted family works too: padded, with its own options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from clsnorm.optim.groups import is_layer

_BERT_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Family:
    """Facts on one family.

    Attributes:
        dropout: The config's fields for hidden and attention dropout; empty if unknown.
        known_positions: Whether positions count from 0, or from ``padding_idx + 1`` if the table of positions has a
            padding row; false leaves them to transformers.
        packs: Whether attention uses transformers' attention interface, so that sequences can share a row.
        last_layer: How the last layer can be computed at [CLS] only: `clsnorm.model.encoder.last_layer.ADAPTERS`;
            empty: not at all.
    """

    dropout: tuple[str, ...] = ()
    known_positions: bool = False
    packs: bool = False
    last_layer: str = ""


_BERT_LIKE = Family(_BERT_DROPOUT, known_positions=True, packs=True, last_layer="bert")
_FAMILIES = {
    "bert": _BERT_LIKE,
    "roberta": _BERT_LIKE,
    "xlm-roberta": _BERT_LIKE,
    "electra": _BERT_LIKE,
    "albert": Family(_BERT_DROPOUT, known_positions=True, packs=True, last_layer="albert"),
    "distilbert": Family(("dropout", "attention_dropout"), known_positions=True, packs=True, last_layer="distilbert"),
    "modernbert": Family(
        ("embedding_dropout", "attention_dropout", "mlp_dropout"),
        known_positions=True,
        packs=True,
        last_layer="modernbert",
    ),
    "mpnet": Family(_BERT_DROPOUT, known_positions=True),
    "deberta": Family(_BERT_DROPOUT, known_positions=True),
    "deberta-v2": Family(_BERT_DROPOUT, known_positions=True),
}

_OUTPUT_NORMS = (
    "encoder.layer.{layer}.output.LayerNorm",  # BERT and similar models
    "transformer.layer.{layer}.output_layer_norm",  # DistilBERT
    "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm",  # ALBERT, whose layers share weights
    "final_norm",  # ModernBERT
)

_SHARED_LAYER = re.compile(r"\.albert_layers\.\d+$")


def family_of(architecture: Any) -> Family:
    """Returns the facts on the family ``config.model_type``; the defaults for an unlisted one."""
    return _FAMILIES.get(architecture.model_type, Family())


def is_listed(architecture: Any) -> bool:
    """Returns whether the family is listed, so that it is known to be an encoder."""
    return architecture.model_type in _FAMILIES


def known_families() -> list[str]:
    """Returns the names (``model_type``) of the listed families, sorted."""
    return sorted(_FAMILIES)


def last_norm(model: nn.Module) -> nn.LayerNorm | None:
    """Returns the layer norm that outputs the last hidden state; None if none is known."""
    return _norm_of(model, getattr(model.config, "num_hidden_layers", 0) - 1)


def output_norms(model: nn.Module) -> list[nn.LayerNorm | None]:
    """Returns the layer norm that outputs the hidden state of each layer, the first layer first; None where unknown."""
    last = getattr(model.config, "num_hidden_layers", 0) - 1
    return [_norm_of(model, layer, last=last) for layer in range(last + 1)]


def _norm_of(model: nn.Module, layer: int, *, last: int | None = None) -> nn.LayerNorm | None:
    """Returns the layer norm that outputs ``layer``; a path that names no layer is that of the ``last`` one."""
    for path in _OUTPUT_NORMS:
        if "{layer}" not in path and last not in (None, layer):
            continue
        try:
            norm = model.get_submodule(path.format(layer=layer))
        except AttributeError:
            continue
        return norm if isinstance(norm, nn.LayerNorm) else None
    return None


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Returns the modules that compute a model's layers, in order; ALBERT has one, which computes all of them."""
    named = dict(model.named_modules())
    found = [module for name, module in named.items() if is_layer(f"encoder.model.{name}")]
    return found or [module for name, module in named.items() if _SHARED_LAYER.search(name)]


def first_position(model: nn.Module) -> int:
    """Returns the index of a sequence's first token in the table of positions.

    RoBERTa, XLM-R and MPNet keep row ``padding_idx`` for padding and count from the next one (fairseq's convention).
    """
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding_idx = getattr(table, "padding_idx", None)
    return 0 if padding_idx is None else padding_idx + 1
