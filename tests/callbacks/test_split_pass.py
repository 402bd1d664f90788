"""A pass over a split gives the same numbers on one process and on several, for any batch size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import split_pass_worker
from split_pass_worker import numbers

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
    {"rows": {**ROWS, "h": ROWS["h"].bfloat16()}, "batch": 1, "most": None},  # one process has no row at all
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("group")
    torch.save(CASES, folder / "cases.pt")
    worker = Path(split_pass_worker.__file__)
    processes = [subprocess.Popen([sys.executable, worker, str(rank), str(SIZE), folder]) for rank in range(SIZE)]
    assert [process.wait(timeout=120) for process in processes] == [0] * SIZE
    return [torch.load(folder / f"result{rank}.pt") for rank in range(SIZE)]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_processes_and_batches_change_nothing(results: list[list[dict[str, float]]], case: int) -> None:
    given = CASES[case]
    # one process, other batches: what `most` allows ends at the same row
    alone = numbers(**{**given, "batch": 21 if given["most"] else 13}, rank=0, size=1)
    for result in results:
        assert result[case].keys() == alone.keys()
        for name, value in alone.items():
            assert result[case][name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
