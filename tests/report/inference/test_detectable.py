from __future__ import annotations

import numpy as np
import pytest

from clsnorm.report.inference.crossed import crossed
from clsnorm.report.inference.detectable import detectable, seeds_to_decide, seeds_to_find


def draws(mean: float, seeds: int, count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    parts = random.normal(size=(count, seeds, 1)), random.normal(size=(count, 1, 50))
    return mean + 0.1 * parts[0] + 0.5 * parts[1] + 0.3 * random.normal(size=(count, seeds, 50))


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    null = crossed(draws(0.0, 12, 1000))
    size = float(np.median([detectable(crossed(table)) for table in draws(0.0, 12, 15)]))
    found = crossed(draws(size, 12, 2000)).p_value() <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.04)
    assert (null.p_value() <= 0.05).mean() < 0.07


def test_so_many_seeds_decide_and_one_fewer_does_not() -> None:
    found = crossed(np.random.default_rng(1).normal(size=(5, 1)))
    seeds = seeds_to_decide(found, 1.0)
    assert seeds is not None
    assert detectable(found, seeds=seeds) <= 1.0
    fewer = crossed(np.random.default_rng(1).normal(size=(5, 1)) * 0.5)
    assert (seeds_to_decide(fewer, 1.0) or 0) < seeds


def test_if_examples_alone_are_too_few_no_number_of_seeds_decides() -> None:
    found = crossed(draws(0.0, 5, 1)[0])
    assert seeds_to_decide(found, 0.1) is None


def test_so_many_seeds_find_a_difference_and_one_fewer_does_not() -> None:
    found = crossed(np.random.default_rng(1).normal(size=(5, 1)))
    seeds = seeds_to_find(found, -1.0)
    assert seeds is not None
    assert detectable(found, seeds=seeds) <= 1.0 < detectable(found, seeds=seeds - 1)
    assert seeds <= (seeds_to_decide(found, 1.0) or 0)  # deciding also asks for equivalence
    assert seeds_to_find(found, 0.0) is None
