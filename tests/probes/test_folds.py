"""Folds and draws: stratified, seeded, complete."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.probes.folds import few_shot_draws, stratified_folds

LABELS = np.repeat([0, 1, 2, 5], [50, 31, 7, 2])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_differ_by_at_most_one_row_in_each_class_and_together(folds: int) -> None:
    found = stratified_folds(LABELS, folds, seed=0)
    for part in (found, *(found[label == LABELS] for label in np.unique(LABELS))):
        sizes = np.bincount(part, minlength=folds)
        assert sizes.max() - sizes.min() <= 1
    assert set(found) == set(range(folds))


def test_the_seed_decides() -> None:
    first, again, other = (stratified_folds(LABELS, 3, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_numbers_are_dealt_by_their_order() -> None:
    values = np.random.default_rng(0).normal(size=31)
    found = stratified_folds(values, 3, seed=0)
    ordered = found[np.argsort(values)]
    assert all(set(ordered[start : start + 3]) == {0, 1, 2} for start in range(0, 30, 3))


def test_draws_have_as_many_rows_of_each_class_and_none_twice() -> None:
    labels = np.repeat([0, 3], [9, 40])
    draws = few_shot_draws(labels, 8, 5, seed=0)
    assert len(draws) == 5
    for draw in draws:
        assert len(set(draw)) == 16
        assert np.bincount(labels[draw]).tolist() == [8, 0, 0, 8]
    assert any((draws[0] != draw).any() for draw in draws[1:])
    again = few_shot_draws(labels, 8, 5, seed=0)
    assert all((a == b).all() for a, b in zip(draws, again, strict=True))
