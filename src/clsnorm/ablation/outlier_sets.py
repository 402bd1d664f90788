"""The published definitions of outlier dimensions: each is a number per dimension and a threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.statistics import Snapshot
from clsnorm.statistics.outlier_dimensions import (
    deviations_of,
    expected_jaccard,
    extreme_shares,
    jaccard,
    overlap_probability,
)

SDS = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
Sets = dict[str, Tensor]  # indices of outlier dimensions by definition
NormParameters = tuple[Tensor, Tensor]  # weight and bias of a layer norm, (d,) each


@dataclass(frozen=True)
class PlaceFacts:
    """What the definitions need to know of one place in a model.

    Attributes:
        snapshot: Statistics of its embeddings.
        norm: Of the layer norm that outputs them; None if there is none.
        norms: Of the layer norms that output this layer and those below.
    """

    snapshot: Snapshot
    norm: NormParameters | None = None
    norms: list[NormParameters] = field(default_factory=list)


@dataclass(frozen=True)
class Definition:
    """A dimension is an outlier if ``measure`` is above a threshold.

    Attributes:
        meaning: The rule at the published threshold.
        source: Who stated it.
        published: The threshold in that paper.
        thresholds: Of the sweep.
        measure: From the facts on a place to a number per dimension; None if the rule does not apply there.
    """

    meaning: str
    source: str
    published: float
    thresholds: tuple[float, ...]
    measure: Callable[[PlaceFacts], Tensor | None]


def _of_norm(place: PlaceFacts) -> Tensor | None:
    return None if place.norm is None else _largest_deviation(place.norm)


def _in_layers(place: PlaceFacts) -> Tensor | None:
    found = [(_largest_deviation(norm) > 3).double() for norm in place.norms]
    return torch.stack(found).sum(0) if found else None


def _largest_deviation(norm: NormParameters) -> Tensor:
    return torch.maximum(deviations_of(norm[0]), deviations_of(norm[1]))


def _variance_ratio(place: PlaceFacts) -> Tensor:
    variance = place.snapshot.moments.variance.cpu()
    return variance / variance.mean() if variance.any() else variance


DEFINITIONS = {
    "mean": Definition(
        "mean over 3 standard deviations off the means of all dimensions",
        "Kovaleva et al., 2021, for parameters; here for embeddings",
        3.0,
        SDS,
        lambda place: deviations_of(place.snapshot.mean),
    ),
    "variance": Definition(
        "variance over 5 times the mean variance",
        "Rudman et al., 2023",
        5.0,
        (2.0, 3.0, 5.0, 10.0, 20.0),
        _variance_ratio,
    ),
    "extreme": Definition(
        "over 3 standard deviations off the other values of the same embedding, in more than half of the inputs",
        "after Luo et al., 2021, and Puccetti et al., 2022",
        0.5,
        (0.1, 0.25, 0.5, 0.75, 0.95),
        lambda place: extreme_shares(place.snapshot.sample.rows),
    ),
    "norm": Definition(
        "weight or bias of the layer norm that outputs the place over 3 standard deviations off",
        "Kovaleva et al., 2021",
        3.0,
        SDS,
        _of_norm,
    ),
    "norm_layers": Definition(
        "the same in the layer norms of more than 3 layers, up to this one",
        "Kovaleva et al., 2021",
        3.0,
        (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
        _in_layers,
    ),
}


def norm_parameters(norm: nn.LayerNorm | None) -> NormParameters | None:
    """Returns weight and bias of a layer norm in float64; None without a norm or a weight."""
    if norm is None or norm.weight is None:
        return None
    weight = norm.weight.detach().double().cpu()
    return weight, torch.zeros_like(weight) if norm.bias is None else norm.bias.detach().double().cpu()


def outlier_sets(place: PlaceFacts) -> Sets:
    """Returns the outlier dimensions by each definition that applies, at its published threshold."""
    return {name: _above(measure, DEFINITIONS[name].published) for name, measure in _measures(place).items()}


def threshold_sweep(place: PlaceFacts) -> dict[str, dict[str, int]]:
    """Returns, for each definition that applies, the number of outlier dimensions by threshold."""
    return {
        name: {f"{threshold:g}": len(_above(measure, threshold)) for threshold in DEFINITIONS[name].thresholds}
        for name, measure in _measures(place).items()
    }


def _measures(place: PlaceFacts) -> dict[str, Tensor]:
    found = {name: definition.measure(place) for name, definition in DEFINITIONS.items()}
    return {name: measure for name, measure in found.items() if measure is not None}


def _above(measure: Tensor, threshold: float) -> Tensor:
    return torch.nonzero(measure > threshold).flatten()


def overlap(first: Tensor, second: Tensor, dim: int) -> dict[str, float]:
    """Compares two sets of dimensions with random sets of the same sizes.

    Returns:
        ``jaccard``, ``expected`` (its mean for random sets) and ``p`` (the probability that random sets share as many).
    """
    shared = len(set(first.tolist()) & set(second.tolist()))
    sizes = len(first), len(second)
    return {
        "jaccard": jaccard(first, second),
        "expected": expected_jaccard(*sizes, dim),
        "p": overlap_probability(shared, *sizes, dim),
    }


def overlaps(sides: Mapping[str, Mapping[str, Sets]], dim: int, *, at: str) -> dict[str, list[dict[str, Any]]]:
    """Compares the sets of definitions, of neighbouring places, and of the sides (before, after).

    Args:
        sides: Sets by definition, by place, by side.
        dim: Number of dimensions.
        at: The place at which the definitions are compared with each other.
    """
    last = list(sides)[-1]
    found = sides[last]
    return {
        "definitions": [
            {"first": one, "second": other, **overlap(found[at][one], found[at][other], dim)}
            for one, other in combinations(found[at], 2)
        ],
        "layers": [
            {"definition": name, "first": below, "second": above, **overlap(sets, found[above][name], dim)}
            for below, above in pairwise(found)
            for name, sets in found[below].items()
            if name in found[above]
        ],
        "training": [
            {"definition": name, "place": place, **overlap(sets, found[place][name], dim)}
            for place, by_definition in (sides["before"].items() if "before" in sides else ())
            for name, sets in by_definition.items()
            if place in found and name in found[place]
        ],
    }
