"""The tables that a run prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from sweep_folders import EXAMPLES, write_run

from clsnorm.experiment.score_table import print_tables
from clsnorm.run_folder import RunFolder

RESULTS: dict[str, Any] = {
    "normalizer": "layernorm", "data": "sst2", "model": "minilm", "seed": 0, "monitor": "accuracy", "majority": 0.5,
    "metrics": {
        "select/accuracy": 0.8, "report/accuracy": 0.75, "report/loss": 0.6,
        "cls/start/h/centred_share": 0.25, "cls/select/h/centred_share": 0.125, "cls/select/z/centred_share": 0.0,
    },
    "examples_per_second": 123.4, "status": "completed", "collapsed": False, "steps": 12, "selected_step": 8,
}  # fmt: skip
Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def printed(capsys: Out, folder: Path = Path("runs/one"), **changed: Any) -> str:
    print_tables({**RESULTS, **changed}, {"optimizer": {"lr": 1e-4}}, folder)
    return capsys.readouterr().out


def cells(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")][1:-1] for line in out.splitlines() if "│" in line]


def test_scores_bias_time_folder_and_next_commands_are_shown(capsys: Out) -> None:
    profile = {"a": {"step_share": 0.01, "share": 0.02}, "b": {"step_share": 0.02, "share": 0.03}}
    out = printed(capsys, profile=profile, seconds=75.2, epochs=3)
    assert ["accuracy", "0.8000", "0.7500", "", "0.5000"] in cells(out)
    assert ["loss", "–", "0.6000", "", ""] in cells(out)
    assert ["mean in mean square", "0.2500", "–", "0.1250", "0.0000"] in cells(out)
    assert ["top-5 energy share", *["–"] * 4] in cells(out)  # not measured
    assert (
        "12 steps, 3 epochs, learning rate 0.0001, 123 training examples per second, 75 s in all; "
        "selected after 8 steps" in out
    )
    assert "observers took 3.0% of the training time in steps, 5.0% in all" in out
    assert "status" not in out
    assert "written to runs/one" in out
    assert "next: python -m clsnorm.dashboard runs/one" in out
    assert 'python -m clsnorm.predict run=runs/one text="..."' in out


def test_a_run_without_statistics_has_no_table_of_them(capsys: Out) -> None:
    assert "Bias" not in printed(capsys, metrics={"report/accuracy": 0.75})


def test_scores_have_intervals_over_the_report_rows(tmp_path: Path, capsys: Out) -> None:
    run = RunFolder(write_run(tmp_path, accuracy=0.8))
    print_tables(run.require_results() | {"selected_step": 8}, run.require_config(), run.path)
    exact = stats.binomtest(round(0.8 * EXAMPLES), EXAMPLES).proportion_ci(method="exact")
    assert ["accuracy", "0.8000", "0.8000", f"{exact.low:.4f} to {exact.high:.4f}", "0.5000"] in cells(
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("changed", "status"), [({"status": "diverged", "collapsed": True}, "diverged"), ({"collapsed": True}, "collapsed")]
)
def test_a_run_without_a_good_end_shows_its_status(capsys: Out, changed: dict[str, Any], status: str) -> None:
    out = printed(capsys, **changed)
    (line,) = [line for line in out.splitlines() if "status" in line]
    assert status in line
    assert ("clsnorm.predict" in out) is (status != "diverged"), "its weights answer nothing"


def test_names_that_look_like_markup_are_printed_as_they_are(capsys: Out) -> None:
    out = printed(capsys, Path("runs/[/one]"), data="[/bold]", monitor="[red]f1")
    assert "layernorm on [/bold]" in out
    assert "[red]f1" in out
    assert "written to runs/[/one]" in out
    assert "run='runs/[/one]'" in out
