from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import GlobalBatches

QUICK = settings(max_examples=100, deadline=None)
SIZES = st.integers(1, 70)
SEEDS = st.none() | st.integers(0, 9)


@QUICK
@given(size=SIZES, batch_size=st.integers(1, 20), world=st.integers(1, 9), seed=SEEDS, epoch=st.integers(0, 3))
def test_parts_of_all_ranks_join_to_the_batches_of_one_process(
    size: int, batch_size: int, world: int, seed: int | None, epoch: int
) -> None:
    one = GlobalBatches(size, batch_size=batch_size, seed=seed)
    ranks = [GlobalBatches(size, batch_size=batch_size, seed=seed, rank=r, world_size=world) for r in range(world)]
    for sampler in (one, *ranks):
        sampler.set_epoch(epoch)
    batches, parts = list(one), [list(rank) for rank in ranks]
    assert {len(p) for p in parts} == {len(batches)} == {len(one)}
    for b, batch in enumerate(batches):
        np.testing.assert_array_equal(np.concatenate([p[b].rows for p in parts]), batch.rows)
        assert {p[b].global_size for p in parts} == {len(batch.rows)}
    everything = np.concatenate([batch.rows for batch in batches])
    assert sorted(everything) == list(range(size))


@QUICK
@given(size=SIZES, batch_size=st.integers(1, 20), epoch=st.integers(0, 3), data=st.data())
def test_resuming_gives_the_rest_of_the_epoch(size: int, batch_size: int, epoch: int, data: Any) -> None:
    whole, rest = (GlobalBatches(size, batch_size=batch_size, seed=3) for _ in range(2))
    start = data.draw(st.integers(0, len(whole) - 1))
    whole.set_epoch(epoch)
    rest.resume_at(epoch, start)
    rest.set_epoch(epoch)  # Lightning calls it again
    for a, b in zip(list(whole)[start:], rest, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
    assert len(rest) == len(whole)
    rest.set_epoch(epoch + 1)
    assert len(list(rest)) == len(whole)


def test_epochs_and_seeds_differ() -> None:
    orders = set()
    for seed in range(3):
        sampler = GlobalBatches(50, batch_size=50, seed=seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler.order()))
    assert len(orders) == 9


@QUICK
@given(size=SIZES, batch_size=st.integers(1, 20), steps=st.integers(1, 9), world=st.integers(1, 3), data=st.data())
def test_each_part_knows_the_rows_of_its_optimizer_step(
    size: int, batch_size: int, steps: int, world: int, data: Any
) -> None:
    options = {"batch_size": batch_size, "seed": 3, "batches_per_step": steps, "world_size": world}
    ranks = [GlobalBatches(size, rank=rank, **options) for rank in range(world)]
    start = data.draw(st.integers(0, len(ranks[0]) - 1))
    whole = list(ranks[0])
    for rank in ranks:
        rank.resume_at(0, start)
        parts = list(rank)
        assert [part.step_size for part in parts] == [part.step_size for part in whole[start:]]
    for first in range(0, len(whole), steps):
        step = whole[first : first + steps]
        assert {part.step_size for part in step} == {sum(part.global_size for part in step)}


@QUICK
@given(
    size=SIZES, batch_size=st.integers(1, 20), steps=st.integers(1, 9), world=st.integers(1, 3), epoch=st.integers(0, 3)
)
def test_without_the_last_batch_the_others_stay_the_same(
    size: int, batch_size: int, steps: int, world: int, epoch: int
) -> None:
    options = {"batch_size": batch_size, "seed": 3, "batches_per_step": steps, "world_size": world}
    whole, cut = GlobalBatches(size, **options), GlobalBatches(size, drop_last=True, **options)
    for sampler in (whole, cut):
        sampler.set_epoch(epoch)
    full = [part for part in whole if part.global_size == batch_size]
    kept = list(cut)
    assert len(kept) == len(cut) == len(full) == size // batch_size
    for a, b in zip(kept, full, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        assert a.global_size == b.global_size == batch_size
    for first in range(0, len(kept), steps):
        step = kept[first : first + steps]
        assert {part.step_size for part in step} == {len(step) * batch_size}
