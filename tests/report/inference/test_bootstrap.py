from __future__ import annotations

import math

import numpy as np
import pytest

from clsnorm.report.inference import bootstrap
from clsnorm.report.inference.crossed import crossed


def table(seeds: int = 10, examples: int = 60, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(seeds, 1)) + random.normal(size=(1, examples)) + random.normal(size=(seeds, examples))


def test_weighted_tables_are_the_tables_with_repeated_rows_and_columns() -> None:
    d, random = table(5, 12), np.random.default_rng(1)
    rows, columns = random.integers(0, 5, 5), random.integers(0, 12, 12)
    weights = np.bincount(rows, minlength=5)[None].astype(float), np.bincount(columns, minlength=12)[None].astype(float)
    (mean,), (error,) = bootstrap.moments(d, *weights)
    expected = crossed(d[np.ix_(rows, columns)])
    assert mean == pytest.approx(expected.mean)
    assert error == pytest.approx(expected.standard_error)


def test_the_resampled_means_are_those_of_the_multibootstrap() -> None:
    """Sellam et al. (2022): draw seeds and examples with replacement; the mean over the drawn table; again."""
    d, random = table(), np.random.default_rng(2)
    means, _ = bootstrap.resampled(d, draws=4000)
    s, e = d.shape
    reference = [d[np.ix_(random.integers(0, s, s), random.integers(0, e, e))].mean() for _ in range(4000)]
    assert means.mean() == pytest.approx(np.mean(reference), abs=4 * np.std(reference) * np.sqrt(2 / 4000))
    assert means.std() == pytest.approx(np.std(reference), rel=0.07)
    np.testing.assert_allclose(
        np.quantile(means, (0.05, 0.5, 0.95)), np.quantile(reference, (0.05, 0.5, 0.95)), atol=0.06
    )


def test_the_interval_is_near_the_crossed_one_for_normal_parts() -> None:
    d = table(20, 100)
    np.testing.assert_allclose(bootstrap.studentized_interval(d), crossed(d).interval(), atol=0.15)


def test_few_seeds_are_refused() -> None:
    assert math.isnan(bootstrap.studentized_interval(table(seeds=bootstrap.LEAST - 1))[0])


def test_one_seed_gives_the_same_interval() -> None:
    assert bootstrap.studentized_interval(table(), seed=3) == bootstrap.studentized_interval(table(), seed=3)
