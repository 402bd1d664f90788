"""The sample of rows depends only on their ids."""

from __future__ import annotations

import numpy as np
import torch
from rows import N, embeddings

from clsnorm.statistics import hashed
from clsnorm.statistics.accumulators.row_sample import RowSample


def sampled(rows: np.ndarray, ids: np.ndarray, cuts: tuple[int, ...] = ()) -> RowSample:
    sample = RowSample(20)
    for part in np.split(np.arange(len(ids)), cuts):
        sample.update(torch.from_numpy(rows[part]), torch.from_numpy(ids[part]))
    return sample


def test_a_sample_is_the_rows_with_the_smallest_hashes_in_any_order_and_split() -> None:
    rows, _ = embeddings()
    ids, order = np.arange(N), np.random.default_rng(0).permutation(N)
    expected = torch.from_numpy(rows[np.argsort(hashed(ids))[:20]])
    assert torch.equal(sampled(rows, ids).rows, expected)
    assert torch.equal(sampled(rows[order], ids[order], cuts=(5, 150)).rows, expected)
    merged = sampled(rows[:100], ids[:100])
    merged.merge(sampled(rows[100:], ids[100:]))
    assert torch.equal(merged.rows, expected)


def test_shared_rows_have_ids_that_are_in_both() -> None:
    rows, _ = embeddings()
    ids = np.arange(N)
    ours, theirs = sampled(rows[:25], ids[:25]).shared(sampled(2 * rows[5:30], ids[5:30]))
    assert 0 < len(ours) <= 20
    assert torch.equal(2 * ours, theirs)


def test_hashes_equal_those_of_splitmix64() -> None:
    assert hashed(np.array([0])).tolist() == [0xE220A8397B1DCDAF]  # the published generator's first number from seed 0
