"""Reading a run's files, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clsnorm.errors import InputError
from clsnorm.run_folder import RunFolder, find_runs
from clsnorm.run_folder.results import finite


def test_importing_and_reading_load_no_torch(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    code = (
        "import sys; from clsnorm.run_folder import find_runs, RunFolder\n"
        "light = {'torch', 'pytorch_lightning', 'omegaconf', 'pyarrow', 'pandas', 'numpy', 'rich'} & set(sys.modules)\n"
        f"(run,) = find_runs(__import__('pathlib').Path({str(tmp_path)!r}))\n"
        "assert run.read_config() == {'seed': 3} and run.read_results() is None\n"
        "sys.exit(bool(light) or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert (run.read_results(), run.read_predictions(), run.read_error()) == (None, None, None)
    assert (run.read_config(), run.read_events(), run.read_last_row()) == ({}, [], {})
    assert (run.snapshots(), run.read_diffs()) == ({}, {})
    with pytest.raises(InputError, match=r"finished run \(results.json\)"):
        run.require_results()
    with pytest.raises(InputError, match=r"what a run has logged \(metrics.csv\)"):
        run.read_series()


def test_each_file_is_read(tmp_path: Path) -> None:
    import pandas as pd

    run = RunFolder(tmp_path)
    run.results.write_text(json.dumps({"status": "completed"}))
    run.metrics.write_text("step,loss,lr\n0,0.5,\n1,,0.1\n2,0.25,0.2\n")
    run.events.write_text("step,rank,kind,place,value\n1,,resumed,,\n")
    run.error.write_text(json.dumps({"kind": "OSError", "message": "full", "traceback": ""}))
    pd.DataFrame({"part": ["report"], "label": [1]}).to_parquet(run.predictions)
    run.statistics.mkdir()
    (run.statistics / "report_h.npz").touch()
    (tmp_path / "changes.diff").write_text("+1\n")
    assert run.require_results() == {"status": "completed"}
    assert run.read_series() == {"loss": [(0, 0.5), (2, 0.25)], "lr": [(1, 0.1), (2, 0.2)]}
    assert run.read_last_row() == {"step": 2.0, "loss": 0.25, "lr": 0.2}
    assert run.read_events()[0]["kind"] == "resumed"
    assert (run.read_error() or {})["message"] == "full"
    table = run.read_predictions()
    assert table is not None
    assert table.to_pydict() == {"part": ["report"], "label": [1]}
    assert run.snapshots() == {"report_h": run.statistics / "report_h.npz"}
    assert run.read_diffs() == {"changes.diff": "+1\n"}


@pytest.mark.parametrize("columns", [1, 50_000])
def test_the_last_row_of_a_long_file(tmp_path: Path, columns: int) -> None:
    names = [f"n{index}" for index in range(columns)]
    rows = [",".join(["step", *names]), *(",".join([str(step), *["1.5"] * columns]) for step in range(3))]
    RunFolder(tmp_path).metrics.write_text("\n".join(rows) + "\n")
    assert RunFolder(tmp_path).read_last_row() == {"step": 2.0, **dict.fromkeys(names, 1.5)}


def test_runs_are_found_below_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a/nested", "a/nested/inside", "b/.replaced", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    (tmp_path / "no_run").mkdir()
    assert [run.path for run in find_runs(tmp_path)] == [tmp_path / "a/nested", tmp_path / "b"]
    assert [run.path for run in find_runs(tmp_path / "b")] == [tmp_path / "b"]


def test_json_gets_null_for_nan_and_inf() -> None:
    assert finite({"a": 1.0, "b": float("nan"), "c": float("-inf")}) == {"a": 1.0, "b": None, "c": None}
