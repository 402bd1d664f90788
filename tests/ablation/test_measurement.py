"""Ablations on synthetic embeddings: a planted outlier is found, and without one percentiles are uniform."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.ablation.effects import Readout
from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.ablation.interventions import INTERVENTIONS, TrainFacts
from clsnorm.ablation.measurement import SplitAblation, choose, control, measure_on_report, measure_on_select
from clsnorm.ablation.plan import AblationPlan
from clsnorm.errors import InputError
from clsnorm.normalizers import Identity

DIM = 40
PLAN = AblationPlan(random_sets=39, resamples=50)


def split(seed: int, *, planted: float = 1.0, weight: float = 1.0, rows: int = 120) -> SplitAblation:
    """Embeddings whose dimension 5 is ``planted`` times larger, in front of a head with equal weights."""
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(DIM, 2)
    with torch.no_grad():
        head.weight.copy_(
            torch.randn(1, DIM, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [-1.0]])
        )
        head.weight[:, 5] = torch.tensor([weight, -weight])
        head.bias.zero_()
    h = torch.randn(rows, DIM, generator=generator)
    h[:, 5] *= planted
    labels = head(h).argmax(1)
    classifier = SimpleNamespace(normalizer=Identity(DIM).eval(), head=head)
    metric = MulticlassAccuracy(num_classes=2, average="micro")
    encoded = EncodedRows(h, labels, torch.arange(rows), {})
    readout = Readout(classifier, encoded, metric, mode="max", regression=False, batch_size=64)  # type: ignore[arg-type]
    return SplitAblation(readout, TrainFacts(h.double().mean(0), torch.cov(h.double().T), None), seed=0)


def sets(*dims: int) -> dict[str, Tensor]:
    return {"variance": torch.tensor(dims), "mean": torch.tensor([], dtype=torch.long)}


def features(one: SplitAblation) -> dict[str, np.ndarray]:
    return {
        "variance": one.facts.covariance.diagonal().numpy(),
        "head": one.readout.head_norms().numpy(),
    }


def test_a_planted_outlier_is_found_on_select_and_stands_out_on_report() -> None:
    select, report = split(1, planted=6), split(2, planted=6)
    found = measure_on_select(select, sets(5), PLAN)
    assert {row["ablation"] for row in found} == {"zero", "mean", "resample", "direction", "subspace"}
    chosen = choose(found, PLAN)
    assert chosen is not None
    assert (chosen["dimensions"], chosen["definitions"], chosen["by"]) == ([5], ["variance"], "select")
    measured = measure_on_report(report, chosen, features(report), PLAN)
    assert measured["effect"]["score"] > 0.1
    assert measured["nulls"]["size"]["effects"]["score"]["percentile"] > 0.95
    assert measured["nulls"]["head"]["effects"]["loss"]["percentile"] > 0.95
    low, high = measured["intervals"]["score"]
    assert 0 < low < measured["effect"]["score"] < high
    # No other dimension has as much variance, and the record shows it; equal energy takes many dimensions.
    variance = measured["nulls"]["variance"]["matching"]["variance"]
    assert variance["outliers"] > 10 * variance["random"]
    energy = measured["nulls"]["energy"]["matching"]
    assert energy["energy"]["random"] >= 0.5 * energy["energy"]["outliers"]
    assert energy["dimensions"]["random"] > 10


def test_a_large_dimension_that_the_head_ignores_is_harmless() -> None:
    found = measure_on_select(split(1, planted=20, weight=0.0), sets(5), PLAN)
    zero = next(row for row in found if row["ablation"] == "zero")
    assert zero["effect"] == pytest.approx({"score": 0.0, "loss": 0.0, "logits": 0.0}, abs=1e-6)
    assert zero["null"]["loss"]["percentile"] < 0.05


def test_without_outliers_percentiles_are_uniform() -> None:
    draw, zero = np.random.default_rng(0), INTERVENTIONS["zero"]
    one = split(3, rows=60)
    places = []
    for seed in range(60):
        dims = draw.choice(DIM, 3, replace=False)
        plan = AblationPlan(random_sets=20, seed=seed)
        effect = one.effect(zero, dims)
        places.append(control("size", one, zero, dims, effect, {}, plan)["effects"]["loss"]["percentile"])
    assert stats.kstest(places, "uniform").pvalue > 0.01


def test_the_choice_rests_on_select_alone_and_can_be_fixed_before() -> None:
    found = measure_on_select(split(1, planted=6), sets(5), PLAN)
    best = max(found, key=lambda row: row["excess"])
    chosen = choose(found, PLAN)
    assert chosen is not None
    assert chosen["ablation"] == best["ablation"]
    fixed = choose(found, AblationPlan(definition="variance", ablation="resample"))
    assert fixed is not None
    assert (fixed["ablation"], fixed["by"]) == ("resample", "given")
    with pytest.raises(InputError, match="There are variance zero"):
        choose(found, AblationPlan(definition="mean"))
    assert choose([], PLAN) is None


def test_sets_that_definitions_share_are_measured_once() -> None:
    found = measure_on_select(split(1), {"mean": torch.tensor([5]), "extreme": torch.tensor([5])}, PLAN)
    assert [row["definitions"] for row in found] == [["mean", "extreme"]] * len(found)
    assert len(found) == 5


def test_the_empty_set_has_no_effect() -> None:
    one = split(1)
    assert set(one.effect(INTERVENTIONS["zero"], np.array([], dtype=np.int64)).values()) == {0.0}
