"""Effects of ablations against editing the head, autograd and a plain bootstrap."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import PearsonCorrCoef

from clsnorm.ablation.effects import MEASURES, Answers, Readout, agreement
from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.ablation.interventions import INTERVENTIONS, TrainFacts
from clsnorm.errors import InputError
from clsnorm.model import CosineHead, fold
from clsnorm.normalizers import Identity, LayerNorm, Normalizer, Standardize
from clsnorm.statistics import Moments

DIM, ROWS, CLASSES = 16, 90, 3
DIMS = torch.tensor([2, 9])


def readout(normalizer: Normalizer | None = None, head: nn.Module | None = None, *, outputs: int = CLASSES) -> Readout:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(ROWS, DIM, generator=generator) + 1
    torch.manual_seed(1)
    made = head or nn.Linear(DIM, outputs)
    logits = made(h)
    regression = outputs == 1
    noisy = logits + torch.randn(logits.shape, generator=generator)
    labels = noisy.squeeze(1).detach() if regression else noisy.argmax(1)
    rows = EncodedRows(h, labels, torch.arange(ROWS), {})
    metric = PearsonCorrCoef() if regression else MulticlassAccuracy(num_classes=outputs, average="micro")
    classifier = SimpleNamespace(normalizer=(normalizer or Identity(DIM)).eval(), head=made)
    return Readout(classifier, rows, metric, mode="max", regression=regression, batch_size=32)  # type: ignore[arg-type]


def facts(found: Readout) -> TrainFacts:
    h = found.rows.h.double()
    return TrainFacts(h.mean(0), torch.cov(h.T, correction=0), None)


def standardized(h: torch.Tensor) -> Standardize:
    normalizer, moments = Standardize(DIM), Moments(DIM)
    moments.update(h * torch.arange(1, DIM + 1))
    normalizer.calibrate(moments)
    return normalizer


def test_ablating_h_equals_editing_the_columns_of_the_head() -> None:
    found = readout()
    head, h, known = found._classifier.head, found.rows.h, facts(found)
    edits = {"zero": 0.0, "mean": known.mean.float()[DIMS]}
    for name, value in edits.items():
        edited = nn.Linear(DIM, CLASSES)
        with torch.no_grad():
            edited.weight.copy_(head.weight)
            edited.weight[:, DIMS] = 0
            edited.bias.copy_(head.bias + (head.weight[:, DIMS] * value).sum(1))
            outcome = found.read(INTERVENTIONS[name].apply(h, DIMS, known, h))
            torch.testing.assert_close(outcome.logits, edited(h), rtol=0, atol=1e-6)


def test_unchanged_embeddings_have_no_effect_and_the_logits_of_each_batch_to_the_bit() -> None:
    found = readout(LayerNorm(DIM))
    empty = INTERVENTIONS["mean"].apply(found.rows.h, torch.tensor([], dtype=torch.long), facts(found), found.rows.h)
    assert found.effect(found.read(empty)) == dict.fromkeys(MEASURES, 0.0)
    classifier = found._classifier
    with torch.no_grad():
        parts = [classifier.head(classifier.normalizer(found.rows.h[at : at + 32])) for at in range(0, ROWS, 32)]
    assert torch.equal(found.unchanged.logits, torch.cat(parts))


def test_effects_equal_their_formulas() -> None:
    found = readout()
    h, labels = found.rows.h, found.rows.labels
    changed = found.read(h * 0.5)
    effect = found.effect(changed)
    before, after = (torch.nn.functional.cross_entropy(x, labels) for x in (found.unchanged.logits, changed.logits))
    assert effect["loss"] == pytest.approx(float(after - before), abs=1e-6)
    right = [(x.argmax(1) == labels).double().mean() for x in (found.unchanged.logits, changed.logits)]
    assert effect["score"] == pytest.approx(float(right[0] - right[1]), abs=1e-6)
    moved = (changed.logits - found.unchanged.logits).detach().numpy()
    moved -= moved.mean(1, keepdims=True)  # a softmax does not see what is common to the classes
    assert effect["logits"] == pytest.approx(np.sqrt((moved**2).mean()), rel=1e-5)


@pytest.mark.parametrize("kind", ["identity", "standardize"])
def test_head_norms_are_the_columns_of_the_folded_head(kind: str) -> None:
    normalizer = Identity(DIM) if kind == "identity" else standardized(torch.randn(200, DIM))
    found = readout(normalizer)
    weight = fold(found._classifier.head, normalizer).weight.detach()
    expected = (weight - weight.mean(0)).norm(dim=0)
    torch.testing.assert_close(found.head_norms(), expected.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("head", [None, CosineHead(DIM, CLASSES)])
def test_head_norms_of_curved_maps_are_mean_slopes(head: nn.Module | None) -> None:
    found = readout(LayerNorm(DIM), head)
    classifier = found._classifier
    slopes = [torch.autograd.functional.jacobian(lambda x: classifier.head(classifier.normalizer(x[None]))[0], row)
              for row in found.rows.h]  # fmt: skip
    stacked = torch.stack(slopes) - torch.stack(slopes).mean(1, keepdim=True)
    expected = stacked.square().sum(1).mean(0).sqrt()
    torch.testing.assert_close(found.head_norms(), expected.double(), rtol=1e-4, atol=1e-7)


def test_intervals_are_those_of_a_paired_bootstrap() -> None:
    found = readout()
    outcome = found.read(found.rows.h * 0.5)
    intervals = found.intervals(outcome, draws=2000, seed=0)
    difference = (outcome.losses - found.unchanged.losses).double()
    half = 1.96 * float(difference.std(correction=0)) / ROWS**0.5
    low, high = intervals["loss"]
    assert (low, high) == pytest.approx((float(difference.mean()) - half, float(difference.mean()) + half), rel=0.15)
    assert intervals["score"][0] <= found.effect(outcome)["score"] <= intervals["score"][1]


def test_regression_has_values_and_no_softmax() -> None:
    found = readout(outputs=1)
    effect = found.effect(found.read(-found.rows.h))
    assert effect["score"] == pytest.approx(2 * found.unchanged.score, abs=1e-5)  # the correlation changes its sign
    assert effect["logits"] > 0
    torch.testing.assert_close(
        found.head_norms(), found._classifier.head.weight[0].detach().abs().double(), rtol=1e-5, atol=1e-7
    )


def test_logits_that_are_not_finite_are_refused() -> None:
    head = nn.Linear(DIM, CLASSES)
    with torch.no_grad():
        head.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="finite logits"):
        readout(head=head)


def test_agreement_with_stored_answers() -> None:
    found = readout()
    assert isinstance(found.unchanged, Answers)
    stored = found.unchanged.values.clone()
    assert agreement(found.unchanged, stored, regression=False)["equal"]
    stored[0] = stored[0].roll(1)
    differs = agreement(found.unchanged, stored, regression=False)
    assert not differs["equal"]
    assert differs["other_answers"] == pytest.approx(1 / ROWS)
