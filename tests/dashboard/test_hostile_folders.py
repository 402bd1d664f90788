"""The page of a stranger's run: text stays text, and what does not fit is one line or shown as missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clsnorm.dashboard.__main__ import main

EVIL = "<script>alert(1)</script>"
RESULTS: dict[str, Any] = {
    "normalizer": EVIL,
    "data": EVIL,
    "model": EVIL,
    "seed": 0,
    "num_outputs": 2,
    "source": {},
    "commit": EVIL,
    "steps": 10,
    "metrics": {"report/accuracy": 0.5, "select/accuracy": 0.25, EVIL: 1},
    "monitor": "accuracy",
    "selected_step": 5,
    "majority": 0.5,
    "train_examples": 10,
    "examples_per_second": 1.0,
    "status": "completed",
    "collapsed": False,
    "aborted_by": None,
}
METRICS = "step,train/loss,select/loss\n1,0.5,\n2,,0.6\n"
EVENTS = f"step,rank,kind,place,value\n1,0,{EVIL},{EVIL},3\n"


def page(folder: Path, results: Any = RESULTS, metrics: str = METRICS, events: str = EVENTS) -> str | None:
    """Runs the command on a folder with these files; None if it was refused."""
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "config.yaml").write_text("config_hash: x\n")
    (folder / "metrics.csv").write_text(metrics, errors="surrogateescape")
    (folder / "events.csv").write_text(events, errors="surrogateescape")
    return (folder / "dashboard.html").read_text() if main([str(folder)]) == 0 else None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"status": "aborted", "aborted_by": EVIL},
        {"status": EVIL},
        {"monitor": EVIL},
        {"normalizer": "$\\frac{a$"},
        {"model": "a\nb"},
    ],
)
def test_text_stays_text(tmp_path: Path, more: dict[str, Any]) -> None:
    text = page(tmp_path, RESULTS | more)
    assert text is not None
    assert text.count("<script") == 1, "its own"


@pytest.mark.parametrize(
    "name", [EVIL, "$\\frac{a$", "a$b$", "x/$$y$$", "\\frac{", "a\x01b", "‮gnp", "&amp;", "grad/h/<b>", "{x}", "%s"]
)
def test_columns_stay_text(tmp_path: Path, name: str) -> None:
    text = page(tmp_path, metrics=f"step,{name},other/{name}\n1,0.5,2\n2,1e308,-1e308\n3,nan,inf\n4,0.5,2\n")
    assert text is not None
    assert text.count("<script") == 1, "its own"


@pytest.mark.parametrize(
    "more",
    [
        {"metrics": {"report/accuracy": "text"}},
        {"metrics": {"report/accuracy": [1]}},
        {"majority": "text"},
        {"train_examples": 10**400},
        {"steps": "text"},
    ],
)
def test_a_value_of_another_type_is_shown_as_missing_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    text = page(tmp_path, RESULTS | more)
    if text is None:
        assert len(capsys.readouterr().err.splitlines()) == 1
    else:
        assert "text</td>" not in text


@pytest.mark.parametrize(
    "files",
    [
        {"results": {}},
        {"results": None},
        {"results": [1]},
        {"results": RESULTS | {"metrics": [1]}},
        {"results": {key: value for key, value in RESULTS.items() if key != "majority"}},
        {"metrics": "step,a\n1,text\n"},
        {"metrics": "step,a\n1,0.5,7,8\n"},
        {"metrics": "a\n1\n"},
        {"metrics": "step,a\n1,\udcff\n"},
        {"metrics": "step,a\n1.5,2\n"},
        {"events": "rank,kind\n0,explosion\n"},
        {"events": EVENTS.replace("\n1,", "\ntext,")},
        {"events": EVENTS + "1,0,x,y,z,z\n"},
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, Any]
) -> None:
    assert page(tmp_path, **files) is None
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "dashboard.html").exists()


def test_a_row_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    assert page(tmp_path, metrics=METRICS + "3,0.1", events=EVENTS + "2,0") is not None


SOUND = {"part": ["report"] * 2, "example_id": [0, 1], "label": [0, 1], "p0": [0.9, 0.2], "p1": [0.1, 0.8]}


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, True),
        ({"label": [0, 2]}, False),
        ({"label": [-1, 1]}, False),
        ({"label": [0.5, 1.0]}, False),
        ({"label": [None, 1]}, False),
        ({"label": [EVIL, EVIL]}, False),
        ({"p0": [EVIL, EVIL]}, False),
        ({"p0": [float("nan"), 0.2]}, False),
        ({"p0": [-1e308, 1e308]}, False),
        ({"example_id": [EVIL, EVIL]}, False),
        ({"example_id": [None, 1]}, False),
        ({"part": [1, 2]}, False),
        ({"part": None}, False),
        ({"label": None}, False),
        ({"p0": None, "p1": None, "value": ["a", "b"]}, False),
        ({"p0": None, "p1": None, "value": [1.0, float("inf")]}, False),
        ({"p0": None, "p1": None, "value": [1.0, 2.0]}, True),
    ],
)
def test_predictions_of_a_stranger(tmp_path: Path, changed: dict[str, Any], shown: bool) -> None:
    columns = {name: column for name, column in (SOUND | changed).items() if column is not None}
    pq.write_table(pa.table(columns), tmp_path / "predictions.parquet")
    text = page(tmp_path, RESULTS | {"source": {"labels": [EVIL, EVIL]}})
    assert text is not None
    assert ("Answers on the report split" in text) is shown
    assert text.count("<script") == 1, "its own"
