"""Numbers of a sample against scikit-learn or the definition, on all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rows import D, N, assert_references, embeddings
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from clsnorm.statistics import CATALOGUE
from clsnorm.statistics.accumulators.snapshot import SAMPLE
from clsnorm.statistics.families.sample import twonn


def twonn_by_regression(rows: np.ndarray) -> float:
    """As scikit-dimension's TwoNN: a line through the origin, nine tenths of the ratios."""
    distances = NearestNeighbors(n_neighbors=3).fit(rows).kneighbors(rows)[0]
    ratios = np.sort(distances[:, 2] / distances[:, 1])
    used = int(len(ratios) * 0.9)
    x, y = np.log(ratios[:used, None]), -np.log(1 - np.arange(1, used + 1) / len(ratios))
    return float(LinearRegression(fit_intercept=False).fit(x, y).coef_[0])


def test_each_number_equals_that_of_a_reference() -> None:
    rows, _ = embeddings()
    off = ~np.eye(N, dtype=bool)
    units = rows / np.linalg.norm(rows, axis=1)[:, None]
    expected = {
        "uniformity": math.log(np.exp(-2 * ((units[:, None] - units) ** 2).sum(-1))[off].mean()),
        "centred_cosine": cosine_similarity(rows - rows.mean(0))[off].mean(),
        "twonn": twonn_by_regression(rows),
    }
    assert_references("sample", expected)


def test_the_same_text_twice_is_no_neighbour() -> None:
    rows, _ = embeddings()
    again = rows[:60] * (1 + 1e-7 * np.random.default_rng(1).standard_normal((60, D)))  # as in another batch
    found = twonn(torch.from_numpy(np.concatenate([rows, again])))
    assert found == pytest.approx(twonn(torch.from_numpy(rows)), rel=1e-5)


def test_meanings_state_the_size_of_the_sample() -> None:
    for statistic in CATALOGUE:
        if statistic.family == "sample" or statistic.name == "isotropy/partition":
            assert f"sample of {SAMPLE:,} rows" in statistic.meaning
