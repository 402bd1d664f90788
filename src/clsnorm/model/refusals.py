"""Options of a classifier that its head or its normalizer does not allow."""

from __future__ import annotations

from torch import nn

from clsnorm.errors import InputError, require_positive, require_whole
from clsnorm.normalizers import Normalizer
from clsnorm.regularizers import Regularizer
from clsnorm.regularizers.regularizer import LAYERS


def refuse_two_biases(init: str, *, absorb_mean: bool) -> None:
    """Refuses to absorb the mean into a bias that ``init`` sets."""
    if absorb_mean and init != "drawn":
        raise InputError(
            f"Expected classifier.absorb_mean=false with classifier.init={init}, which sets the bias too. Set "
            "classifier.init=drawn to absorb the mean"
        )


def require_rates(head: nn.Module, normalizer: Normalizer, *, bias_rate: float, normalizer_rate: float) -> None:
    """Refuses factors of learning rates that are out of range, or of parameters that do not exist."""
    for name, rate in {"bias_rate": bias_rate, "normalizer_rate": normalizer_rate}.items():
        require_positive(f"classifier.{name}", rate, advice=f"Set classifier.{name}=1")
    if bias_rate != 1 and head.bias is None:
        raise InputError(
            f"Expected a head with a bias for classifier.bias_rate={bias_rate:g}, but "
            f"{type(head).__name__} has none. Use classifier=linear, or set classifier.bias_rate=1"
        )
    if normalizer_rate != 1 and not any(True for _ in normalizer.parameters()):
        raise InputError(
            f"Expected a normalizer that learns for classifier.normalizer_rate={normalizer_rate:g}, but "
            f"{type(normalizer).__name__} has no parameters. Where it exists, set normalizer.affine=true; "
            "else set classifier.normalizer_rate=1"
        )


def require_foldable(normalizer: Normalizer) -> Normalizer:
    """Returns a normalizer that can be used at the start alone, or refuses one that trains or changes the encoder."""
    if normalizer.changes_encoder or any(True for _ in normalizer.parameters()):
        what = "changes the encoder" if normalizer.changes_encoder else "has parameters to train"
        raise InputError(
            f"Expected a normalizer that ends with its calibration for classifier.init=normalizer_folded, but "
            f"{type(normalizer).__name__} {what}. Set classifier.init=drawn"
        )
    return normalizer


def require_recalibration(every: int | None, normalizer: Normalizer, init: str, *, is_frozen: bool) -> None:
    """Refuses to recalibrate what is calibrated only before training, or never."""
    advice = "It counts epochs: set classifier.recalibrate_every=1"
    require_whole("classifier.recalibrate_every", every, least=1, or_null=True, advice=advice)
    if every is None:
        return
    name = type(normalizer).__name__
    reasons = {
        f"{name} needs no calibration": normalizer.calibration is None,
        f"{name} changes the encoder, once, before training": normalizer.changes_encoder,
        "the encoder is frozen (model.freeze=all), so its statistics do not change": is_frozen,
        f"classifier.init={init} uses {name} only before training": init == "normalizer_folded",
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), None):
        raise InputError(
            f"Expected a calibrated normalizer for classifier.recalibrate_every={every}, but {reason}. "
            "Set classifier.recalibrate_every=null"
        )


def require_trainable(normalizer: Normalizer, *, is_frozen: bool) -> None:
    """Refuses a normalizer that changes an encoder which is frozen."""
    if is_frozen and normalizer.changes_encoder:
        raise InputError(
            f"Expected an encoder that is trained for {type(normalizer).__name__}, which changes its last layer norm, "
            "but got model.freeze=all. Set model.freeze=null or a number of layers, or choose another normalizer"
        )


def require_effect(regularizer: Regularizer, *, frozen_layers: int, is_frozen: bool, learns: bool) -> None:
    """Refuses a regularizer whose term no trained parameter can change.

    Args:
        regularizer: Its weight may be 0, which only logs the term.
        frozen_layers: Number of frozen layers, the embedding layer included.
        is_frozen: Whether the whole encoder is.
        learns: Whether the normalizer has parameters.
    """
    at = regularizer.at
    layer = int(at[-2:]) if at.startswith("layer") and at != LAYERS else None
    fixed = (is_frozen and not (at == "z" and learns)) or (layer is not None and layer < frozen_layers)
    if regularizer.is_active and regularizer.weight and fixed:
        raise InputError(
            f"Expected a place that training can change for regularizer.at={at}, but with model.freeze nothing before "
            "it is trained. Set regularizer=none, regularizer.weight=0 to log the term, or model.freeze=null"
        )
