"""Counts of outlier dimensions against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from rows import assert_references, embeddings, filled
from scipy import stats

from clsnorm.statistics import describe


def test_each_number_equals_that_of_its_definition() -> None:
    rows, _ = embeddings()
    variance = rows.var(0)
    expected = {
        "mean": float((np.abs(stats.zscore(rows.mean(0))) > 3).sum()),
        "variance": float((variance > 5 * variance.mean()).sum()),
        "extreme": float(((np.abs(stats.zscore(rows, axis=1)) > 3).mean(0) > 0.5).sum()),
    }
    assert_references("outliers", expected)


@pytest.mark.parametrize(("name", "change"), [("mean", (60, 1)), ("variance", (0, 40)), ("extreme", (60, 1))])
def test_an_outlier_is_counted(name: str, change: tuple[float, float]) -> None:
    rows, labels = embeddings(d=30)
    rows[:, 7] = change[0] + change[1] * rows[:, 7]
    assert describe(filled(rows, labels))[f"outliers/{name}"].value >= 1
