"""Sums, and the accumulators that consist of them, against numpy for any split."""

from __future__ import annotations

import numpy as np
import torch
from rows import C, D, embeddings

from clsnorm.statistics.accumulators.class_sums import ClassSums
from clsnorm.statistics.accumulators.directions import Directions
from clsnorm.statistics.accumulators.sums import Sums


def test_sums_merge_by_addition_and_round_trip() -> None:
    first, second = Sums(a=(), b=(2,)), Sums(a=(), b=(2,))
    first.add(a=torch.tensor(1.0), b=torch.tensor([1.0, 2.0]))
    second.load_state_dict(first.state_dict())
    second.merge(first)
    assert float(second.sums["a"]) == 2.0
    assert second.sums["b"].tolist() == [2.0, 4.0]


def test_directions_leave_out_zero_vectors() -> None:
    rows, _ = embeddings()
    rows[4] = 0
    found = Directions(D)
    for part in np.split(rows, (0, 7)):
        found.update(torch.from_numpy(part))
    norms = np.linalg.norm(rows, axis=1)
    units = np.delete(rows / np.where(norms > 0, norms, 1)[:, None], 4, axis=0)
    np.testing.assert_allclose(found.sums["unit"], units.sum(0))
    np.testing.assert_allclose(found.sums["norm_square"], (norms**2).sum())
    assert (float(found.sums["zeros"]), float(found.sums["flat"])) == (1, 1)


def test_class_sums_equal_those_of_each_class() -> None:
    rows, labels = embeddings()
    found = ClassSums(D, C)
    found.update(torch.from_numpy(rows), torch.from_numpy(labels))
    assert found.sums["count"].tolist() == found.sums["direct"].tolist() == np.bincount(labels).tolist()
    np.testing.assert_allclose(found.sums["total"], [rows[labels == c].sum(0) for c in range(C)])
