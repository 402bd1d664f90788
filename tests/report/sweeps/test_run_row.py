from __future__ import annotations

import math
from pathlib import Path

import pytest
from sweep_folders import write_run

from clsnorm.errors import InputError
from clsnorm.report.sweeps.run_row import CRASHED, DAMAGED, FINISHED, UNFINISHED, RunRow, read_rows


def test_runs_of_all_states_are_read(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0)
    write_run(tmp_path, seed=1, finished=False)
    crashed = write_run(tmp_path, seed=2, finished=False)
    (crashed / "error.json").write_text('{"kind": "ValueError", "message": "no", "traceback": ""}')
    (write_run(tmp_path, seed=3) / "results.json").write_text("{")
    rows = read_rows([tmp_path])
    assert [row.state for row in rows] == [FINISHED, UNFINISHED, CRASHED, DAMAGED]
    assert rows[2].reason == "ValueError: no"
    assert "not JSON" in rows[3].reason


def test_a_row_has_what_was_recorded(tmp_path: Path) -> None:
    write_run(tmp_path, 0.75, seed=3, normalizer="center", optimizer__lr=3e-5)
    (row,) = read_rows([tmp_path, tmp_path])
    assert isinstance(row, RunRow)
    assert (row.seeds, row.lr, row.choice("normalizer"), row.mode) == ((3,) * 5, 3e-5, "center", "max")
    assert row.score == row.select_score == pytest.approx(0.75)
    assert not row.failed
    assert math.isnan(row.metric("report/f1"))


def test_a_diverged_run_has_failed(tmp_path: Path) -> None:
    write_run(tmp_path, 0.1)
    (row,) = read_rows([tmp_path])
    assert row.failed
    row.results |= {"failed_selected": False, "status": "diverged"}
    assert row.failed


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_rows([tmp_path])
    with pytest.raises(InputError, match="does not exist"):
        read_rows([tmp_path / "no"])
