"""A pass over a split gives the same numbers on one process and on several, for any batch size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import split_pass_worker
import torch
from split_pass_worker import numbers

from clsnorm.callbacks.split_pass import SplitPass, fixed_rows

SIZE = 2
GENERATOR = torch.Generator().manual_seed(0)
ROWS = {
    "h": 5 + torch.randn(61, 8, generator=GENERATOR) * torch.linspace(0.1, 2, 8),
    "labels": torch.arange(61) % 3,
    "example_ids": torch.randperm(61, generator=GENERATOR),
}
CASES: list[dict[str, Any]] = [
    {"rows": ROWS, "batch": 7, "most": None},
    {"rows": ROWS, "batch": 61, "most": None},
    {"rows": ROWS, "batch": 7, "most": 20},
    {"rows": {**ROWS, "h": ROWS["h"].bfloat16()}, "batch": 1, "most": None},  # one process has no rows
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("group")
    torch.save(CASES, folder / "cases.pt")
    worker = Path(split_pass_worker.__file__)
    processes = [subprocess.Popen([sys.executable, worker, str(rank), str(SIZE), folder]) for rank in range(SIZE)]
    assert [process.wait(timeout=120) for process in processes] == [0] * SIZE
    return [torch.load(folder / f"result{rank}.pt") for rank in range(SIZE)]


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(CASES)))
def test_processes_and_batches_change_nothing(results: list[list[dict[str, float]]], case: int) -> None:
    given = CASES[case]
    alone = numbers(**{**given, "batch": 13}, rank=0, size=1)
    for result in results:
        assert result[case].keys() == alone.keys()
        for name, value in alone.items():
            assert result[case][name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_a_split_ordered_by_class_gives_all_classes() -> None:
    """5000 of one class, then 5000 of the other: their shares are those of a random sample, to 5 deviations."""
    labels = np.arange(10_000) >= 5_000
    rows = fixed_rows(np.arange(10_000), 512)
    assert len(rows) == 512
    assert abs(labels[rows].mean() - 0.5) < 5 * np.sqrt(0.25 / 512)


def test_the_sample_depends_only_on_ids() -> None:
    ids = np.arange(3_000, 4_000)
    order = np.random.default_rng(0).permutation(1_000)
    chosen = set(ids[fixed_rows(ids, 100)])
    assert chosen == set(ids[order][fixed_rows(ids[order], 100)])
    assert set(ids[fixed_rows(ids, 50)]) < chosen  # smaller samples are nested
    assert set(ids[fixed_rows(ids, None)]) == set(ids)


@pytest.mark.parametrize("batch", [7, 100])
def test_only_chosen_examples_are_collected(batch: int) -> None:
    seen = SplitPass(8, num_classes=3, ids=np.array([4, 9, 30]), points=["h"])
    for start in range(0, 61, batch):
        seen.update({name: values[start : start + batch] for name, values in ROWS.items()})
    wanted = ROWS["h"][torch.isin(ROWS["example_ids"], torch.tensor([4, 9, 30]))].double()
    torch.testing.assert_close(seen.collection.snapshots["h"].moments.mean, wanted.mean(0), rtol=1e-12, atol=0)
