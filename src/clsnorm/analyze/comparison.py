"""Comparisons: places before and after fine-tuning, pairs of layers, and the head with the class means."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from clsnorm.statistics import (
    Snapshot,
    cka_matrix,
    drift,
    linear_cka,
    mean_drift,
    procrustes,
    self_duality,
    subspace_overlap,
)
from clsnorm.statistics.eigenvalues import log_change, resolved
from clsnorm.statistics.outlier_dimensions import jaccard, outliers

COMPONENTS = 10  # directions of the subspaces that are compared
MEASURES = {
    "sample/rows": "number of examples in the samples of both sides",
    "drift/relative": "mean ||h - h₀|| / ||h₀||, on the sample",
    "drift/cosine": "mean cos(h, h₀), on the sample",
    "drift/mean": "||μ - μ₀|| / ||μ₀||",
    "drift/spectrum": "mean |ln(l / l₀)| over the eigenvalues of the covariance; large where it collapses",
    "similarity/cka": "linear CKA by unbiased HSIC, on the sample: 1 if equal up to rotation and scale, 0 if unrelated",
    "similarity/procrustes": "distance after the best rotation and scale, on the sample: 0 equal, near 1 unrelated",
    "similarity/top_10": "overlap of the first 10 principal components: 1 if they span one subspace, 10/d if unrelated",
    "outliers/jaccard": "share of the outlier dimensions of either side that both sides have",
}


def compare(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Returns the `MEASURES` of one place before and after fine-tuning; NaN if undefined.

    Measures "on the sample" use the examples that are in both samples; ids choose the sample, so these are the same
    examples. If any row was not finite, all measures but ``sample/rows`` are NaN: the missing rows would change them.
    """
    start, now = before.sample.shared(after.sample)
    found = {**dict.fromkeys(MEASURES, math.nan), "sample/rows": float(len(start))}
    if len(start) < 4 or before.not_finite or after.not_finite:
        return found
    means = before.mean, after.mean
    found |= {f"drift/{name}": value for name, value in drift(now, start).items()}
    found |= {
        "drift/mean": mean_drift(means[1], means[0]),  # over all rows, not the sample
        "outliers/jaccard": jaccard(*map(outliers, means)),
    }
    if _varies(before) and _varies(after):
        kept = min(COMPONENTS, *(len(resolved(s.eigenvalues)) for s in (before, after)))
        found |= {
            "drift/spectrum": log_change(after.eigenvalues, before.eigenvalues),
            "similarity/cka": linear_cka(start, now, unbiased=True),
            "similarity/procrustes": procrustes(start, now),
            "similarity/top_10": subspace_overlap(*(s.eigenvectors[:, :kept] for s in (before, after))),
        }
    return found


def _varies(snapshot: Snapshot) -> bool:
    return float(snapshot.covariance.trace()) > 0


def between_places(snapshots: Mapping[str, Snapshot]) -> dict[str, Any]:
    """Returns ``places`` and the matrix ``cka`` of the linear CKA (by unbiased HSIC) of each pair, on the sample.

    Skips places where all examples share one embedding, such as ``layer00``, and places with rows that are not finite.
    """
    rows = {name: s.sample.rows for name, s in snapshots.items() if s.count > 3 and not s.not_finite and _varies(s)}
    return {"places": list(rows), "cka": cka_matrix(list(rows.values()), unbiased=True).tolist()}


def nc3(snapshot: Snapshot, weight: Tensor) -> float:
    """Returns the self-duality (NC3) of a head and the class means at its input.

    NaN if a class has no row or a row was not finite.

    Args:
        snapshot: Of the head's input.
        weight: Weight of the head, ``(C, d)``.
    """
    if snapshot.not_finite:
        return math.nan
    sums = snapshot.classes.sums
    return self_duality(sums["total"].cpu() / sums["count"].cpu()[:, None], weight)


def outlier_dimensions(snapshots: Mapping[str, Snapshot]) -> dict[str, Any]:
    """Returns the outlier dimensions of each place, and the number of layers in which each dimension is one.

    The rule is that of ``outliers/mean``. ``layer00``, before the first layer, is not counted as a layer.
    """
    places = {name: outliers(s.mean).tolist() for name, s in snapshots.items() if s.count >= 2}
    layers = Counter(
        dimension
        for name, found in places.items()
        if name.startswith("layer") and name != "layer00"
        for dimension in found
    )
    return {"places": places, "layers": {str(dimension): number for dimension, number in layers.most_common()}}
