"""`stock_model`: what a stock model says of itself, and what has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.export.stock_model import stock_model
from clsnorm.model import Classifier, CosineHead, Encoder
from clsnorm.normalizers import Identity, LayerNorm


def classifier(path: str, normalizer: type = Identity, **options: object) -> Classifier:
    encoder = Encoder(path)
    return Classifier(encoder, normalizer(encoder.dim), num_outputs=2, seed_init=0, **options).eval()  # type: ignore[arg-type]


def test_classes_have_their_names(tiny: Callable[..., str]) -> None:
    state = torch.random.get_rng_state()
    model, _ = stock_model(classifier(tiny("bert")), ["bad", "good"])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.config.label2id == {"bad": 0, "good": 1}
    assert model.config.problem_type == "single_label_classification"
    assert not model.training
    with pytest.raises(InputError, match="2 outputs"):
        stock_model(classifier(tiny("bert")), ["one"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalizer": LayerNorm}, "LayerNorm is not: it "),
        ({"head": partial(CosineHead, scale=20.0)}, "a linear head for a stock model, but got CosineHead"),
    ],
)
def test_what_does_not_fold_says_why(tiny: Callable[..., str], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        stock_model(classifier(tiny("bert"), **options), ["a", "b"])  # type: ignore[arg-type]


def test_an_unknown_architecture(tiny: Callable[..., str]) -> None:
    made = classifier(tiny("bert"))
    made.encoder.model.config.model_type = "novel"
    with pytest.raises(InputError, match=r"known, bert, .*but got novel"):
        stock_model(made, ["a", "b"])
