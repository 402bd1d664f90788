"""Numbers of the standard deviations against numpy and scipy."""

from __future__ import annotations

import numpy as np
from rows import assert_references, embeddings
from scipy import stats


def test_each_number_equals_that_of_its_definition() -> None:
    rows, _ = embeddings()
    std, variance = rows.std(0), rows.var(0)
    expected = {
        "top_5": np.sort(variance)[-5:].sum() / variance.sum(),
        "std_range": std.max() / std.min(),
        "std_variation": stats.variation(std),
        "log_std_range": np.subtract(*np.percentile(np.log(std), [99, 1])),
        "dead": 0.0,
    }
    assert_references("spread", expected)
