r"""Linear heads as the stock heads of transformers, which are not linear.

A run's head, with its normalizer folded in, is ``W h + b`` of the [CLS] embedding ``h``. Stock heads have a layer of
width d with an activation in between. Each can hold the linear map, exactly or to rounding:

=====================  =================================  ==================================================
head                   architectures                      construction
=====================  =================================  ==================================================
dense, ReLU, linear    DistilBERT                         :math:`x = \mathrm{relu}(x) - \mathrm{relu}(-x)`
dense, GELU, linear    ELECTRA                            :math:`x = \mathrm{gelu}(x) - \mathrm{gelu}(-x)`
dense, tanh, linear    BERT, ALBERT, RoBERTa, XLM-R,      :math:`x = \tanh(s x) / s` with :math:`s = 2^{-32}`
                       MPNet
dense, any, linear     DeBERTa, DeBERTa-v2                ``pooler_hidden_act="linear"``, dense the identity
dense, any, norm,      ModernBERT                         ``classifier_activation="linear"``; small units
linear                                                    :math:`\pm s x` and two constants that fix the norm
=====================  =================================  ==================================================

The first two hold as ``gelu(x) = x Phi(x)`` and ``Phi(x) + Phi(-x) = 1``. The tanh of a number below ``2^-12`` is that
number in float32, and powers of two scale without rounding; in float16 ``s`` would underflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError

SMALL = 2.0**-32  # tanh(SMALL x) / SMALL = x for |x| < 2^20; float32 has exponents down to -126
NORMED = 2.0**-20  # scale of the logits' units next to constants of 1, under a layer norm


@dataclass(frozen=True)
class LinearMap:
    """``W (x - centre) + b``: ``weight`` ``(C, d)``, ``bias`` ``(C,)`` and ``centre`` ``(d,)``, float64.

    Around the centre of the data, float32 rounds least: ``W x`` and ``b`` may be large numbers that nearly cancel.
    """

    weight: Tensor
    bias: Tensor
    centre: Tensor

    @property
    def offset(self) -> Tensor:
        """``b - W centre``: the value at 0, ``(C,)``."""
        return self.bias - self.weight @ self.centre


@dataclass(frozen=True)
class StockHead:
    """How the stock head of an architecture holds a linear map.

    Attributes:
        options: Changes of the model's configuration.
        fill: Sets the parameters of the head of a stock model.
        construction: The formula, in words.
        pooler: Whether the head has BERT's pooler, dense and tanh, so that a head on the pooler's output fits as it is.
    """

    fill: Callable[[Any, LinearMap], None]
    construction: str
    options: Mapping[str, Any]
    pooler: Callable[[Any], tuple[nn.Linear, nn.Linear]] | None = None


def _pair(dense: nn.Linear, out: nn.Linear, linear: LinearMap) -> None:
    """Sets ``out(act(dense(x))) = W x + b`` for an activation with ``act(x) - act(-x) = x``."""
    classes, _ = linear.weight.shape
    _require_units(2 * classes, dense.out_features, classes)
    dense.weight[:classes], dense.weight[classes : 2 * classes] = linear.weight, -linear.weight
    dense.bias[:classes], dense.bias[classes : 2 * classes] = linear.offset, -linear.offset
    eye = torch.eye(classes)
    out.weight[:, :classes], out.weight[:, classes : 2 * classes] = eye, -eye


def _tanh(dense: nn.Linear, out: nn.Linear, linear: LinearMap) -> None:
    """Sets ``out(tanh(dense(x))) = W (x - centre) + b``: a unit a dimension."""
    dense.weight.copy_(SMALL * torch.eye(dense.in_features))
    dense.bias.copy_(-SMALL * linear.centre)
    out.weight.copy_(linear.weight / SMALL)
    out.bias.copy_(linear.bias)


def _identity(dense: nn.Linear, out: nn.Linear, linear: LinearMap) -> None:
    """Sets ``out(dense(x)) = W (x - centre) + b``."""
    dense.weight.copy_(torch.eye(dense.in_features))
    dense.bias.copy_(-linear.centre)
    out.weight.copy_(linear.weight)
    out.bias.copy_(linear.bias)


def _normed(dense: nn.Linear, norm: nn.LayerNorm, out: nn.Linear, linear: LinearMap) -> None:
    r"""Sets ``out(norm(dense(x))) = W x + b``.

    Units :math:`s x_c` and :math:`-s x_c` have mean 0, and so have the constants 1 and -1. The variance is
    :math:`(2 + 2 s^2 |x|^2) / d`, constant up to :math:`s^2 |x|^2`. Half the difference of two units cancels what is
    common to both, such as the rounding of the mean.
    """
    classes, dim = linear.weight.shape
    _require_units(2 * classes + 2, dim, classes)
    dense.weight[:classes] = NORMED * linear.weight
    dense.weight[classes : 2 * classes] = -NORMED * linear.weight
    dense.bias[:classes], dense.bias[classes : 2 * classes] = NORMED * linear.offset, -NORMED * linear.offset
    dense.bias[2 * classes], dense.bias[2 * classes + 1] = 1.0, -1.0
    norm.weight.fill_((2 / dim + norm.eps) ** 0.5)
    if norm.bias is not None:
        norm.bias.zero_()
    half = torch.eye(classes) / (2 * NORMED)
    out.weight[:, :classes], out.weight[:, classes : 2 * classes] = half, -half


def _require_units(needed: int, units: int, classes: int) -> None:
    if needed > units:
        raise InputError(
            f"Expected at most {units} units for the stock head of this architecture, but {classes} classes need "
            f"{needed}. python -m clsnorm.predict uses the run as it is"
        )


def _bert_parts(model: Any) -> tuple[nn.Linear, nn.Linear]:
    return model.bert.pooler.dense, model.classifier


def _albert_parts(model: Any) -> tuple[nn.Linear, nn.Linear]:
    return model.albert.pooler, model.classifier


def _roberta_parts(model: Any) -> tuple[nn.Linear, nn.Linear]:
    return model.classifier.dense, model.classifier.out_proj


def _of(parts: Callable[[Any], tuple[Any, ...]], construct: Callable[..., None]) -> Callable[[Any, LinearMap], None]:
    """Returns the function that fills the parts of a model's head, zero before."""

    def fill(model: Any, linear: LinearMap) -> None:
        found = parts(model)
        with torch.no_grad():
            for part in found:
                for parameter in part.parameters():
                    parameter.zero_()
            construct(*found, linear)

    return fill


_TANH = "tanh(s x) / s = x, s = 2^-32"
_ROBERTA = StockHead(_of(_roberta_parts, _tanh), _TANH, {}, _roberta_parts)
_DEBERTA = StockHead(
    _of(lambda model: (model.pooler.dense, model.classifier), _identity),
    "a linear activation",
    {"pooler_hidden_act": "linear"},
)
HEADS = {  # by the configuration's model_type
    "bert": StockHead(_of(_bert_parts, _tanh), _TANH, {}, _bert_parts),
    "albert": StockHead(_of(_albert_parts, _tanh), _TANH, {}, _albert_parts),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "mpnet": _ROBERTA,
    "distilbert": StockHead(
        _of(lambda model: (model.pre_classifier, model.classifier), _pair), "relu(x) - relu(-x) = x", {}
    ),
    "electra": StockHead(_of(_roberta_parts, _pair), "gelu(x) - gelu(-x) = x", {}),
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "modernbert": StockHead(
        _of(lambda model: (model.head.dense, model.head.norm, model.classifier), _normed),
        "a layer norm with two large constant units",
        {"classifier_activation": "linear", "classifier_bias": True, "classifier_pooling": "cls"},
    ),
}
