"""Searched learning rates: only the runs after a search are compared, of arms that were searched alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_folders import write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.comparisons import TUNED
from clsnorm.report.sweep_table import short_table
from clsnorm.report.sweeps.run_row import read_rows
from clsnorm.report.sweeps.searched_runs import after_search, mark_searched
from clsnorm.sweep.search_record import write_search

OPTIONS = Options(draws=0)


def search(folder: Path, arm: str, tried: dict[float, float], *, final: float = 0.8, **changes: Any) -> None:
    """Writes trials of one seed and, at the best rate, the runs of four new seeds."""
    for lr, score in tried.items():
        write_run(folder, score, seed=0, normalizer=arm, optimizer__lr=lr)
    best = max(tried, key=lambda lr: tried[lr])
    before = {path.name for path in folder.iterdir()}
    for seed in range(10, 14):
        write_run(folder, final, seed=seed, normalizer=arm, optimizer__lr=best)
    record = {
        "words": [f"normalizer={arm}"],
        "space": {"optimizer.lr": "interval(1e-05, 0.001)"},
        "seeds": ["seed=0"],
        "budget": len(tried),
        "chosen": {"optimizer.lr": best},
        "final": sorted({path.name for path in folder.iterdir()} - before),
    }
    write_search(folder, arm, record | changes)


def test_each_arm_is_compared_at_its_own_rate_over_seeds_that_the_search_has_not_seen(tmp_path: Path) -> None:
    search(tmp_path, "identity", {1e-4: 0.7, 3e-4: 0.8}, final=0.75)
    search(tmp_path, "center", {2e-5: 0.9, 4e-5: 0.6}, final=0.8)
    found = answer([tmp_path], OPTIONS)
    (one,) = found.family
    assert one.comparison is not None
    assert (one.arm, one.comparison.protocol) == ("center", TUNED)
    assert (one.comparison.baseline_lr, one.comparison.lr) == (3e-4, 2e-5)
    assert [seeds[0] for seeds in one.comparison.seeds] == [10, 11, 12, 13]
    assert one.mean == pytest.approx(5.0)
    assert {key[1]: len(rows) for key, rows in found.tuned().items()} == {"identity": 4, "center": 4}
    assert any("2 trials of optimizer.lr in interval(1e-05, 0.001)" in note for note in found.notes)
    assert "center" in short_table([tmp_path], options=OPTIONS)


@pytest.mark.parametrize(
    "changes",
    [{"budget": 9}, {"space": {"optimizer.lr": "interval(1e-05, 0.1)"}}, {"seeds": ["seed=0", "seed=1"]},
     {"chosen": None}],
)  # fmt: skip
def test_an_arm_that_was_searched_otherwise_or_not_to_the_end_is_not_compared(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    search(tmp_path, "identity", {1e-4: 0.7, 3e-4: 0.8})
    search(tmp_path, "center", {2e-5: 0.9, 4e-5: 0.6}, **changes)
    assert answer([tmp_path], OPTIONS).family == []


def test_without_a_search_of_the_baseline_nothing_changes(tmp_path: Path) -> None:
    search(tmp_path, "center", {2e-5: 0.9, 4e-5: 0.6})
    write_run(tmp_path, 0.7, seed=10, optimizer__lr=2e-5)
    rows = read_rows([tmp_path])
    mark_searched(rows)
    assert sum(bool(row.search) for row in rows) == 4
    for row in rows:
        row.arm = row.choice("normalizer")
    assert after_search(rows, "identity") == []
    assert len(after_search(rows, "center")) == 4
