"""What fine-tuning did to each place: how far [CLS] moved, and whether the same dimensions stand out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from clsnorm.statistics import Snapshot, drift, linear_cka, numbers, shape, subspace_overlap

COMPONENTS = 10  # directions of the subspaces that are compared
MEASURES = {
    "drift/relative": "mean ||h - h₀|| / ||h₀||, on the sample",
    "drift/cosine": "mean cos(h, h₀), on the sample",
    "drift/mean": "||μ - μ₀|| / ||μ₀||, on the sample",
    "similarity/cka": "linear CKA, on the sample: 1 the same but for rotation and size",
    "similarity/top_10": "overlap of the 10 first principal components: 1 the same subspace",
    "outliers/jaccard": "outlier dimensions in common, of those on either side",
}


def compare(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Returns the `MEASURES` of one place before and after fine-tuning; NaN where one is undefined.

    Those of the sample are of the rows that are in both samples: the same examples, as their ids choose them.
    """
    start, now = before.sample.shared(after.sample)
    if len(start) < 4:
        return dict.fromkeys(MEASURES, math.nan)
    varies = all(float(s.covariance.trace()) > 0 for s in (before, after))
    bases = [s.eigenvectors[:, : min(COMPONENTS, s.dim)] for s in (before, after)]
    return {
        **{f"drift/{name}": value for name, value in drift(now, start).items()},
        "similarity/cka": linear_cka(start, now) if varies else math.nan,
        "similarity/top_10": subspace_overlap(*bases) if varies else math.nan,
        "outliers/jaccard": shape.jaccard(*(shape.outliers(numbers.mean(s)) for s in (before, after))),
    }


def outlier_dimensions(snapshots: Mapping[str, Snapshot]) -> dict[str, Any]:
    """Returns the dimensions whose mean stands out, by place, and in how many layers each of them does.

    The rule is that of ``outliers/mean``. What stands before the first layer is left out of the count of layers.
    """
    places = {name: shape.outliers(numbers.mean(s)).tolist() for name, s in snapshots.items() if s.count >= 2}
    layers = Counter(
        dimension
        for name, found in places.items()
        if name.startswith("layer") and name != "layer00"
        for dimension in found
    )
    return {"places": places, "layers": {str(dimension): number for dimension, number in layers.most_common()}}
