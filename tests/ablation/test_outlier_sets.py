"""The definitions of outlier dimensions, on embeddings with planted ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from clsnorm.ablation.outlier_sets import (
    DEFINITIONS,
    Definition,
    PlaceFacts,
    norm_parameters,
    outlier_sets,
    overlap,
    overlaps,
    threshold_sweep,
)
from clsnorm.statistics import Snapshot


def snapshot(*, mean: float = 0.0, spread: float = 1.0) -> Snapshot:
    rows = torch.randn(300, 40, generator=torch.Generator().manual_seed(0))
    rows[:, 3] += mean
    rows[:, 8] *= spread
    found = Snapshot(40, num_classes=0)
    found.update(rows, torch.zeros(300), torch.arange(300))
    return found


def norm(**weights: float) -> tuple[torch.Tensor, torch.Tensor]:
    layer = nn.LayerNorm(40)
    with torch.no_grad():
        for name, value in weights.items():
            getattr(layer, name)[11] = value
    found = norm_parameters(layer)
    assert found is not None
    return found


def test_each_definition_finds_what_it_looks_for_and_nothing_else() -> None:
    place = PlaceFacts(snapshot(mean=30, spread=9), norm(weight=7.0), [norm(bias=2.0)] * 4 + [norm()])
    found = {name: dims.tolist() for name, dims in outlier_sets(place).items()}
    assert found == {"mean": [3], "variance": [8], "extreme": [3], "norm": [11], "norm_layers": [11]}
    assert all(isinstance(definition, Definition) for definition in DEFINITIONS.values())


def test_noise_has_no_outliers_and_a_place_without_a_norm_no_such_definition() -> None:
    found = outlier_sets(PlaceFacts(snapshot()))
    assert set(found) == {"mean", "variance", "extreme"}
    assert not any(len(dims) for dims in found.values())
    assert norm_parameters(None) is None


def test_three_layers_are_not_more_than_three() -> None:
    place = PlaceFacts(snapshot(), norm(weight=7.0), [norm(weight=7.0)] * 3)
    assert len(outlier_sets(place)["norm_layers"]) == 0
    assert threshold_sweep(place)["norm_layers"] == {"0": 1, "1": 1, "2": 1, "3": 0, "4": 0, "5": 0}


def test_a_sweep_never_finds_more_at_a_higher_threshold_and_includes_the_published_one() -> None:
    place = PlaceFacts(snapshot(mean=30, spread=9), norm(weight=7.0), [norm()])
    for name, counts in threshold_sweep(place).items():
        assert list(counts.values()) == sorted(counts.values(), reverse=True)
        assert counts[f"{DEFINITIONS[name].published:g}"] == len(outlier_sets(place)[name])


def test_overlap_and_its_chance_level() -> None:
    found = overlap(torch.tensor([1, 2]), torch.tensor([2]), 10)
    assert found == pytest.approx({"jaccard": 1 / 2, "expected": 0.2 / 2, "p": 0.2})
    assert math.isnan(overlap(torch.tensor([]), torch.tensor([]), 10)["jaccard"])


def test_overlaps_compare_definitions_layers_and_sides() -> None:
    one, other = torch.tensor([1]), torch.tensor([2])
    before = {"layer00": {"mean": one}, "layer01": {"mean": one, "norm": other}}
    after = {"layer00": {"mean": one}, "layer01": {"mean": other, "norm": other}}
    found = overlaps({"before": before, "after": after}, 4, at="layer01")
    assert [(row["first"], row["second"], row["jaccard"]) for row in found["definitions"]] == [("mean", "norm", 1.0)]
    assert [(row["definition"], row["jaccard"]) for row in found["layers"]] == [("mean", 0.0)]
    assert [row["jaccard"] for row in found["training"]] == [1.0, 0.0, 1.0]
