"""Nulls on the page of a run, from its stored accumulators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rows import embeddings, filled

from clsnorm.dashboard.run_nulls import noise_intervals, null_rows
from clsnorm.statistics import describe, save

KEYS = {"centred_share": "centre/centred_share", "isoscore": "spectrum/isoscore"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "statistics" / "report_h.npz", filled(*embeddings()))
    save(tmp_path / "statistics" / "select_h.npz", filled(*embeddings(60)))
    return tmp_path


def test_numbers_of_the_report_split_have_an_interval(folder: Path) -> None:
    expected = describe(filled(*embeddings()), intervals=True)
    metrics = {f"cls/report/h/{key}": expected[name].value for key, name in KEYS.items()}
    metrics |= {
        "cls/report/h/classes/nc1": expected["classes/nc1"].value,
        "report/accuracy": 0.9,
        "cls/report/h/x": 1.0,
    }
    metrics |= {"cls/report/z/isoscore": 0.3, "cls/report/h/norm/mean": 2.0}  # no accumulators, no null
    rows = {row["name"]: row for row in null_rows(folder, metrics)}
    assert list(rows) == ["cls/report/h/centred_share", "cls/report/h/classes/nc1", "cls/report/h/isoscore"]
    assert [row["verdict"] for row in rows.values()] == ["above", "below", "below"]
    null = expected["centre/centred_share"]
    assert rows["cls/report/h/centred_share"]["null"] == f"{null.null:.4g} ({null.low:.4g} to {null.high:.4g})"


def test_values_for_noise_have_the_interval_of_the_select_split(folder: Path) -> None:
    null = describe(filled(*embeddings(60)), intervals=True)["spectrum/isoscore"]
    found = noise_intervals(folder, ["cls/noise/isoscore", "cls/noise/unknown", "cls/select/h/isoscore"])
    assert found == {"cls/noise/isoscore": (null.low, null.high)}


def test_without_sound_accumulators_there_is_no_interval(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = {"cls/report/h/isoscore": 0.3}
    assert null_rows(tmp_path, metrics) == []
    (tmp_path / "statistics").mkdir()
    for name in ("report_h", "start_h"):
        np.savez(tmp_path / "statistics" / f"{name}.npz", dim=3)
    assert null_rows(tmp_path, metrics) == []
    assert noise_intervals(tmp_path, ["cls/noise/isoscore"]) == {}
    assert "no nulls are shown" in caplog.text
