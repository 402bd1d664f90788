from __future__ import annotations

from pathlib import Path

import pytest
from sweep_folders import EXAMPLES, write_run

import clsnorm.report
from clsnorm.report.notebook import Loaded


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    for seed in range(2):
        for normalizer, accuracy in (("identity", 0.75), ("center", 0.9)):
            run = write_run(tmp_path, accuracy, seed=seed, normalizer=normalizer)
            (run / "metrics.csv").write_text("step,train/loss\n1,0.5\n2,0.25\n")
            (run / "events.csv").write_text("step,rank,kind,place,value\n2,,explosion,h,3.0\n")
    write_run(tmp_path, seed=5, finished=False)
    return clsnorm.report.load(tmp_path, margin=1.0)


def test_the_tables_are_tidy(loaded: Loaded) -> None:
    assert len(loaded.runs) == 5
    assert loaded.runs.groupby("arm")["score"].mean().to_dict() == pytest.approx({"identity": 0.75, "center": 0.9})
    assert set(loaded.runs["state"]) == {"finished", "unfinished"}
    assert set(loaded.scores["name"]) == {"report/accuracy", "select/accuracy"}
    assert len(loaded.examples) == 4 * EXAMPLES
    right = loaded.examples["predicted"] == loaded.examples["label"]
    assert right.groupby(loaded.examples["arm"]).mean().to_dict() == pytest.approx({"identity": 0.75, "center": 0.9})
    assert loaded.series["value"].tolist() == [0.5, 0.25] * 4
    assert loaded.events["kind"].tolist() == ["explosion"] * 4


def test_the_numbers_are_those_of_the_report(loaded: Loaded) -> None:
    (one,) = loaded.conclusions().family
    assert one.mean == pytest.approx(15.0)
    assert loaded.facts()["margin"] == 1.0
