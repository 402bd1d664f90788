"""Comparison of places, and the joint page of several analyses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm.analyze.analysis_page import write_page
from clsnorm.analyze.comparison import MEASURES, between_places, compare, nc3, outlier_dimensions
from clsnorm.analyze.gallery import draw_figures
from clsnorm.analyze.headlines import TITLES
from clsnorm.analyze.joint_page import write_joint_page
from clsnorm.model.places import head_input
from clsnorm.statistics import Snapshot


def test_comparison_of_places() -> None:
    start = torch.randn(50, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
    start[:, 4] += 40
    moved = 2 * start[:, torch.arange(12).roll(1)]  # a permutation and a size

    def snapshot(rows: torch.Tensor, ids: torch.Tensor) -> Snapshot:
        snapshot = Snapshot(12, num_classes=0)
        snapshot.update(rows, torch.zeros(len(rows)), ids)
        return snapshot

    ids = torch.arange(50)
    found = compare(snapshot(start, ids), snapshot(moved[10:], ids[10:]))  # ten rows were lost
    assert found["similarity/cka"] == pytest.approx(1.0)
    assert found["outliers/jaccard"] == 0.0
    assert found["drift/relative"] == pytest.approx(
        float(((moved - start).norm(dim=1) / start.norm(dim=1))[10:].mean())
    )
    same = compare(snapshot(start, ids), snapshot(start, ids))
    assert same["similarity/top_10"] == pytest.approx(1.0)
    assert same["drift/spectrum"] == pytest.approx(0, abs=1e-12)
    assert same["similarity/procrustes"] == pytest.approx(0, abs=1e-12)
    assert found["drift/spectrum"] > 1  # it is twice as large, so the variances are four times those
    assert found["similarity/procrustes"] == pytest.approx(0, abs=1e-9)
    assert same["outliers/jaccard"] == 1.0
    assert outlier_dimensions({"layer00": snapshot(start, ids), "layer01": snapshot(start, ids)})["layers"] == {"4": 1}


def test_one_non_finite_row_makes_all_comparisons_nan() -> None:
    rows = torch.randn(50, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ids = torch.arange(50)
    whole, part = (Snapshot(12, num_classes=2) for _ in range(2))
    whole.update(rows, ids % 2, ids)
    part.update(rows.masked_fill(ids[:, None] == 7, math.nan), ids % 2, ids)
    found = compare(whole, part)
    assert found.pop("sample/rows") == 49
    assert all(math.isnan(value) for value in found.values())
    assert math.isnan(nc3(part, torch.randn(2, 12)))
    assert between_places({"layer01": whole, "layer02": part})["places"] == ["layer01"]


@pytest.mark.parametrize(
    ("tap", "found", "read"),
    [
        ("hidden", ["layer00", "layer01", "layer02"], "layer02"),
        ("pooler", ["layer01", "layer02", "pooler_pre", "pooler"], "pooler"),
        ("pooler_pre", ["layer01", "layer02", "pooler_pre", "pooler"], "pooler_pre"),
        ("pooler", ["layer01", "layer02", "pooler_pre", "pooler", "z"], "z"),
    ],
)
def test_input_of_the_head(tap: str, found: list[str], read: str) -> None:
    classifier: Any = SimpleNamespace(encoder=SimpleNamespace(tap=tap))
    assert head_input(classifier, found) == read


def test_each_measure_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
    assert [name for name in (*MEASURES, "head/nc3") if f"`{name}`" not in page] == []


def test_models_of_one_option_are_shown_separately(tmp_path: Path) -> None:
    for number, path in enumerate(("models/one", "models/two")):
        value = {name: {"value": 0.5 + number, "null": None} for name in TITLES}
        record = {"model": "any", "data": "files", "path": path, "rows": 10, "run": None, "note": ""}
        (tmp_path / str(number)).mkdir()
        sides = {"before": {"layer00": value, "layer01": value}}
        (tmp_path / str(number) / "analysis.json").write_text(json.dumps(record | {"sides": sides}))
    write_joint_page(tmp_path)
    assert "files, any-two" in (tmp_path / "index.html").read_text()
    names = {path.name for path in (tmp_path / "figures").glob("*centred_share.csv")}
    assert names == {f"any-{name}_1_layers_centre_centred_share.csv" for name in ("one", "two")}


HOSTILE = "<script>alert(1)</script>"


def test_text_of_analyses_comes_out_escaped_on_both_pages(tmp_path: Path) -> None:
    value = {name: {"value": 0.5, "null": None} for name in TITLES}
    counts = {"rows": 9, "not_finite": 1, "sample": 9}
    record = {"model": "m", "data": f"d{HOSTILE}", "path": "x", "rows": 10, "run": f"r{HOSTILE}", "note": f"n{HOSTILE}"}
    record |= {"sides": {"before": {"layer00": value, f"p{HOSTILE}": value}}, "head": None}
    record |= {"counts": {"before": {"layer00": counts, f"p{HOSTILE}": counts}}, "similarity": {}}
    record |= {"outliers": {"before": {"places": {f"p{HOSTILE}": [1]}, "layers": {}}}}
    record |= {"changes": {f"p{HOSTILE}": dict.fromkeys(MEASURES, 0.5)}}
    folder = tmp_path / 'javascript:"<script>'
    folder.mkdir()
    (folder / "analysis.json").write_text(json.dumps(record))
    write_page(folder, record, draw_figures({}, record))
    joint = write_joint_page(tmp_path)
    assert joint is not None
    for path, letters in ((folder / "analysis.html", "drnp"), (joint, "drn")):
        text = path.read_text()
        assert text.count("<script") == 1, "its own"
        assert 'javascript:"' not in text
        for letter in letters:
            assert f"{letter}&lt;script&gt;" in text, letter
