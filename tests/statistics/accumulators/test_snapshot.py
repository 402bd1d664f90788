"""`Snapshot`: the same numbers for any split, order, merge and number of processes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import C, D, N, embeddings, filled

from clsnorm.errors import InputError
from clsnorm.statistics import Snapshot, describe


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, N), max_size=4), st.randoms(use_true_random=False))
def test_any_split_and_order_gives_the_same(cuts: list[int], shuffler: Any) -> None:
    rows, labels = embeddings()
    whole = describe(filled(rows, labels, sample=64))
    parts = []
    cut = np.split(np.arange(N), sorted(cuts))
    shuffler.shuffle(cut)
    for part in cut:
        piece = Snapshot(D, num_classes=C, sample=64)
        piece.update(torch.from_numpy(rows[part]), torch.from_numpy(labels[part]), torch.from_numpy(part))
        parts.append(piece)
    merged = Snapshot(D, num_classes=C, sample=64)
    for piece in parts:
        merged.merge(piece)
    for name, value in describe(merged).items():
        assert value.value == pytest.approx(whole[name].value, rel=1e-9, abs=1e-12), name


def test_state_round_trip() -> None:
    rows, labels = embeddings()
    first = filled(rows[:100], labels[:100])
    second = Snapshot(D, num_classes=C)
    second.load_state_dict(first.state_dict())
    assert {k: v.value for k, v in describe(second).items()} == {k: v.value for k, v in describe(first).items()}


def test_a_non_finite_row_makes_every_number_nan() -> None:
    rows, labels = embeddings()
    rows[3, 2] = math.nan
    snapshot = filled(rows, labels)
    assert snapshot.not_finite == 1
    assert snapshot.count == N - 1
    assert all(math.isnan(value.value) for value in describe(snapshot).values())


def test_a_refused_merge_changes_nothing() -> None:
    rows, labels = embeddings()
    snapshot = filled(rows, labels)
    before = describe(snapshot)
    with pytest.raises(InputError, match="num_classes"):
        snapshot.merge(Snapshot(D, num_classes=C + 1))
    assert snapshot.count == N
    assert describe(snapshot) == before


def test_bad_rows_are_refused() -> None:
    snapshot = Snapshot(D, num_classes=C)
    with pytest.raises(InputError, match="n labels and ids"):
        snapshot.update(torch.zeros(2, D), torch.zeros(3), torch.arange(2))
    with pytest.raises(InputError, match="class ids from 0 to 2"):
        snapshot.update(torch.zeros(2, D), torch.tensor([0, 3]), torch.arange(2))


WORKER = """
import json, sys, torch, numpy as np, torch.distributed as dist
from clsnorm.statistics import Snapshot, describe
from clsnorm.distributed import rank
dist.init_process_group("gloo")
data = np.load(sys.argv[1])
part = np.split(np.arange(len(data["rows"])), [int(sys.argv[2])])[rank()]
snapshot = Snapshot(data["rows"].shape[1], num_classes=3, sample=64)
snapshot.update(*(torch.from_numpy(x) for x in (data["rows"][part], data["labels"][part], part)))
snapshot.all_reduce()
if rank() == 1:
    print(json.dumps({name: value.value for name, value in describe(snapshot).items()}))
dist.destroy_process_group()
"""


@pytest.mark.parametrize("cut", [0, 113])
def test_two_processes_equal_one(tmp_path: Path, cut: int) -> None:
    rows, labels = embeddings()
    np.savez(tmp_path / "data.npz", rows=rows, labels=labels)
    (tmp_path / "worker.py").write_text(WORKER)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(tmp_path / "worker.py")]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path / "data.npz"), str(cut)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, value in describe(filled(rows, labels, sample=64)).items():
        assert found[name] == pytest.approx(value.value, rel=1e-9, abs=1e-12), name
