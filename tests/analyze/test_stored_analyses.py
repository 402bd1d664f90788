"""The page of all analyses, over folders that may be damaged or a stranger's."""

from __future__ import annotations

import copy
import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from clsnorm.analyze.headlines import HEADLINES
from clsnorm.analyze.joint_page import write_joint_page
from clsnorm.analyze.stored_analyses import fault_of, read_analyses

STATISTICS = {name: {"value": 0.5, "null": None} for name in HEADLINES}
RECORD: dict[str, Any] = {
    "data": "trec",
    "model": "minilm",
    "note": "",
    "run": None,
    "path": "wheel:x",
    "rows": 10,
    "sides": {"before": {"layer00": STATISTICS, "layer01": STATISTICS, "z": STATISTICS}},
}
BEFORE = ("sides", "before")


def changed(*keys: str, to: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    node = record
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = to
    return record


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name / "analysis.json").write_text(text, encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        "[]",
        "null",
        "\udcff",
        "[" * 100_000,
        changed("data", to=5),
        changed("model", to=None),
        changed("note", to=["x"]),
        changed("run", to=3),
        changed("path", to={}),
        changed("rows", to="ten"),
        changed("sides", to={}),
        changed("sides", to=[]),
        changed("sides", "after", to=[]),
        changed(*BEFORE, to={"z": STATISTICS}),
        changed(*BEFORE, "layerx", to=STATISTICS),
        changed(*BEFORE, "layer00/../../x", to=STATISTICS),
        changed(*BEFORE, "layer01", to=[1]),
        changed(*BEFORE, "layer01", HEADLINES[0], to=0.5),
        changed(*BEFORE, "layer01", HEADLINES[0], to={"value": "x", "null": None}),
        changed(*BEFORE, "layer01", HEADLINES[0], to={"value": 1}),
        changed(*BEFORE, "layer01", HEADLINES[0], to={"value": 1, "null": 0.1, "null_low": "x"}),
    ],
    ids=lambda content: str(content)[:20] if isinstance(content, str) else None,
)
def test_what_cannot_be_read_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    write(tmp_path, "good", RECORD)
    write(tmp_path, "bad", content)
    with caplog.at_level(logging.WARNING):
        assert list(read_analyses(tmp_path)) == ["good"]
        page = write_joint_page(tmp_path)
    assert page is not None
    assert "trec" in page.read_text()
    assert "bad/analysis.json is damaged" in caplog.text


def test_an_analysis_has_no_fault() -> None:
    assert fault_of(RECORD) == ""
    assert fault_of(changed("run", to="runs/x")) == ""
    assert fault_of(changed(*BEFORE, "layer01", HEADLINES[0], "value", to=None)) == ""


EVIL = [
    "../../../evil",
    "/tmp/evil",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    'a,b\n"c"',
    "$\\frac{a$",
    "x" * 400,
]


def test_names_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "analysis"
    for number, text in enumerate(EVIL):
        write(folder, str(number), RECORD | dict.fromkeys(("data", "model", "note", "path", "run"), text))
    write(folder, "large", changed(*BEFORE, "layer01", HEADLINES[0], "value", to=10**400))
    page = write_joint_page(folder)
    assert page is not None
    assert page.read_text().count("<script") == 1, "its own"
    assert {path.name for path in folder.iterdir() if path.suffix} == {"index.html"}
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["analysis"]
    tables = list((folder / "figures").glob("*.csv"))
    assert tables
    for path in tables:
        rows = list(csv.reader(path.read_text().splitlines(keepends=True)))
        assert {len(row) for row in rows} == {3}
        assert not [row for row in rows if row[0].startswith(("=", "@", "+", "-"))]


def test_analyses_with_and_without_intervals_share_a_page(tmp_path: Path) -> None:
    """Earlier versions wrote the mean of a null alone."""
    write(tmp_path, "earlier", changed(*BEFORE, "layer01", HEADLINES[0], to={"value": 0.7, "null": 0.0005}))
    spread = {"null_low": 0.0004, "null_high": 0.0006, "p_below": 1.0, "p_above": 0.0}
    write(tmp_path, "later", changed(*BEFORE, "layer01", HEADLINES[0], to={"value": 0.7, "null": 0.0005} | spread))
    page = write_joint_page(tmp_path)
    assert page is not None
    text = page.read_text()
    assert text.count("0.0005 (0.0004 to 0.0006)") == 1
    assert text.count(">0.0005<") == 1
    assert text.count("<td>above</td>") == 1
