"""A run's classifier as a stock ``AutoModelForSequenceClassification``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.export.stock_heads import HEADS, LinearMap, StockHead
from clsnorm.model.encoder.checkpoint import quiet

if TYPE_CHECKING:
    from clsnorm.model import Classifier
    from clsnorm.model.encoder.checkpoint import Pooler

OTHERWISE = "python -m clsnorm.predict uses the run as it is"
REGRESSION, CLASSIFICATION = "regression", "single_label_classification"  # transformers' problem_type


def stock_model(classifier: Classifier, classes: Sequence[str] | None) -> tuple[Any, str]:
    """Returns a stock model with the logits of ``classifier`` in evaluation, up to rounding.

    Args:
        classifier: Unchanged.
        classes: Names of the classes; None in regression.

    Returns:
        The model in eval mode, and how its head holds the map.

    Raises:
        InputError: If the normalizer is not affine in evaluation, the head not linear, or the architecture has no
            known head.
    """
    encoder = classifier.encoder
    head = _head_of(encoder.model.config.model_type)
    linear = folded(classifier)
    if encoder.tap == "pooler" and head.pooler is None:
        raise InputError(
            f"Expected a stock head with a pooler, for model.tap=pooler, but {encoder.model.config.model_type} has "
            f"none. {OTHERWISE}"
        )
    model = _empty(encoder.model, head, classifier.num_outputs, classes)
    missing, unexpected = model.base_model.load_state_dict(encoder.model.state_dict(), strict=False)
    if unexpected or [name for name in missing if not name.startswith("pooler.")]:
        raise RuntimeError(f"the stock model has other weights: {[*missing, *unexpected][:3]}")
    if encoder.tap == "pooler" and head.pooler is not None:
        return _with_pooler(model.eval(), encoder.pooler, linear, head.pooler)
    head.fill(model, linear if encoder.tap == "hidden" else _before_pooler(linear, encoder.pooler))
    return model.eval(), head.construction


def folded(classifier: Classifier) -> LinearMap:
    """Returns normalizer and head as one linear map of the embedding at the tap, in float64.

    Raises:
        InputError: If the normalizer is not affine in evaluation, or the head not linear.
    """
    head, normalizer = classifier.head, classifier.normalizer
    if not isinstance(head, nn.Linear):
        raise InputError(f"Expected a linear head for a stock model, but got {type(head).__name__}. {OTHERWISE}")
    affine = normalizer.as_affine()
    if affine is None:
        raise InputError(
            f"Expected a normalizer that is affine in evaluation, to fold it into a stock head, but "
            f"{type(normalizer).__name__} is not: it {normalizer.bends}. {OTHERWISE}"
        )
    matrix, shift = (part.detach().cpu() for part in affine)
    weight = head.weight.detach().cpu().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if head.bias is None else head.bias.detach().cpu().double()
    matrix = matrix.diag() if matrix.ndim == 1 else matrix
    centre = -torch.linalg.pinv(matrix) @ shift  # what the normalizer subtracts before it multiplies
    return LinearMap(weight @ matrix, bias + weight @ (shift + matrix @ centre), centre)


def _head_of(kind: str) -> StockHead:
    if kind not in HEADS:
        raise InputError(
            f"Expected an architecture whose stock head is known, {', '.join(HEADS)}, but got {kind}. {OTHERWISE}"
        )
    return HEADS[kind]


def _empty(encoder: Any, head: StockHead, outputs: int, classes: Sequence[str] | None) -> Any:
    """Returns a stock model with random weights; the global random state is unchanged."""
    from transformers import AutoModelForSequenceClassification

    names = dict(enumerate(classes if classes is not None else ["value"]))
    options = encoder.config.to_dict() | {
        **head.options,
        "id2label": names,
        "label2id": {name: number for number, name in names.items()},
        "problem_type": REGRESSION if classes is None else CLASSIFICATION,
        "dtype": "float32",
    }
    if len(names) != outputs:
        raise InputError(f"Expected names of the {outputs} outputs, but got {len(names)}")
    config = type(encoder.config).from_dict(options)
    with quiet(), torch.random.fork_rng(devices=[]):
        return AutoModelForSequenceClassification.from_config(config, trust_remote_code=False).float()


def _before_pooler(linear: LinearMap, pooler: Pooler | None) -> LinearMap:
    """Returns the map of the last hidden state, for one of the pooler's dense output."""
    if pooler is None:
        raise RuntimeError("a tap at the pooler needs one")
    dense, bias = _parameters(pooler.dense)
    return LinearMap(linear.weight @ dense, linear.offset + linear.weight @ bias, torch.zeros(dense.shape[1]).double())


def _parameters(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    return layer.weight.detach().cpu().double(), layer.bias.detach().cpu().double()


def _with_pooler(model: Any, pooler: Pooler | None, linear: LinearMap, parts: Any) -> tuple[Any, str]:
    """Sets the pooler and the linear layer of a stock head that has both."""
    if pooler is None or not isinstance(pooler.activation, nn.Tanh):
        raise InputError(f"Expected a pooler with tanh, as stock heads have. {OTHERWISE}")
    dense, out = parts(model)
    with torch.no_grad():
        for layer, (weight, bias) in ((dense, _parameters(pooler.dense)), (out, (linear.weight, linear.offset))):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return model, "the pooler's own tanh"
