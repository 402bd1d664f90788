"""How places differ: before and after fine-tuning, one layer from another, and class means from the head."""

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
    "sample/rows": "examples that are in the samples of both sides",
    "drift/relative": "mean ||h - h₀|| / ||h₀||, on the sample",
    "drift/cosine": "mean cos(h, h₀), on the sample",
    "drift/mean": "||μ - μ₀|| / ||μ₀||",
    "drift/spectrum": "mean |ln(l / l₀)| over the eigenvalues of the covariance; large where it collapses",
    "similarity/cka": "linear CKA, unbiased, on the sample: 1 the same but for rotation and size, 0 unrelated",
    "similarity/procrustes": "what no rotation and size can mend, on the sample: 0 nothing, near 1 if unrelated",
    "similarity/top_10": "overlap of the 10 first principal components: 1 the same subspace, 10/d unrelated ones",
    "outliers/jaccard": "outlier dimensions in common, of those on either side",
}


def compare(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Returns the `MEASURES` of one place before and after fine-tuning; NaN where one is undefined.

    Those of the sample are of the rows that are in both samples: the same examples, as their ids choose them. All but
    their number are undefined if a row was not finite: what is left out would change them.
    """
    start, now = before.sample.shared(after.sample)
    found = {**dict.fromkeys(MEASURES, math.nan), "sample/rows": float(len(start))}
    if len(start) < 4 or before.not_finite or after.not_finite:
        return found
    means = before.mean, after.mean
    found |= {f"drift/{name}": value for name, value in drift(now, start).items()}
    found |= {
        "drift/mean": mean_drift(means[1], means[0]),  # of all rows, not of the sample
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
    """Returns the unbiased linear CKA of each pair of ``places``, on the sample, as rows of ``cka``.

    Left out are places where all examples have one embedding, as before the first layer, and those with rows that are
    not finite.
    """
    rows = {name: s.sample.rows for name, s in snapshots.items() if s.count > 3 and not s.not_finite and _varies(s)}
    return {"places": list(rows), "cka": cka_matrix(list(rows.values()), unbiased=True).tolist()}


def nc3(snapshot: Snapshot, weight: Tensor) -> float:
    """Returns the self-duality of a head and the class means that it reads.

    NaN where a class has no row, or a row was not finite.

    Args:
        snapshot: Of the place that the head reads.
        weight: Of the head, ``(C, d)``.
    """
    if snapshot.not_finite:
        return math.nan
    sums = snapshot.classes.sums
    return self_duality(sums["total"].cpu() / sums["count"].cpu()[:, None], weight)


def outlier_dimensions(snapshots: Mapping[str, Snapshot]) -> dict[str, Any]:
    """Returns the dimensions whose mean stands out, by place, and in how many layers each of them does.

    The rule is that of ``outliers/mean``. What stands before the first layer is left out of the count of layers.
    """
    places = {name: outliers(s.mean).tolist() for name, s in snapshots.items() if s.count >= 2}
    layers = Counter(
        dimension
        for name, found in places.items()
        if name.startswith("layer") and name != "layer00"
        for dimension in found
    )
    return {"places": places, "layers": {str(dimension): number for dimension, number in layers.most_common()}}
