"""The table that a run prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clsnorm.run_folder.score_table import print_table

RESULTS: dict[str, Any] = {
    "normalizer": "layernorm", "data": "sst2", "model": "minilm", "seed": 0, "monitor": "accuracy", "majority": 0.5,
    "metrics": {"report/accuracy": 0.75, "cls/start/h/centred_share": 0.25, "cls/select/h/centred_share": 0.125},
    "examples_per_second": 123.4, "status": "completed", "collapsed": False,
}  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str], **changed: Any) -> str:
    print_table({**RESULTS, **changed}, Path("runs/one"))
    return capsys.readouterr().out


def test_the_table_shows_scores_bias_speed_and_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    out = printed(capsys, profile={"a": {"step_share": 0.01, "share": 0.02}, "b": {"step_share": 0.02, "share": 0.03}})
    lines = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    assert ["", "report accuracy", "0.5000", "–", "0.7500", ""] in lines
    assert ["", "[CLS]: mean in mean square", "", "0.2500", "0.1250", ""] in lines
    assert ["", "[CLS]: top-5 energy share", "", "–", "–", ""] in lines  # not measured
    assert ["", "training examples per second", "", "", "123", ""] in lines
    assert "3.0%, 5.0%" in out
    assert "status" not in out
    assert out.rstrip().endswith("written to runs/one")


@pytest.mark.parametrize(
    ("changed", "status"), [({"status": "diverged", "collapsed": True}, "diverged"), ({"collapsed": True}, "collapsed")]
)
def test_a_run_without_a_good_end_shows_its_status(
    capsys: pytest.CaptureFixture[str], changed: dict[str, Any], status: str
) -> None:
    (line,) = [line for line in printed(capsys, **changed).splitlines() if "status" in line]
    assert status in line


def test_names_that_look_like_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({**RESULTS, "data": "[/bold]", "monitor": "[red]f1"}, Path("runs/[/one]"))
    out = capsys.readouterr().out
    assert "layernorm on [/bold]" in out
    assert "[red]f1" in out
    assert out.rstrip().endswith("written to runs/[/one]")
