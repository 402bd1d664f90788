from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep_folders import write_run

from clsnorm.report.sweeps.arm_names import name_arms, rates, varying
from clsnorm.report.sweeps.run_row import RunRow, read_rows


def rows_of(folder: Path, *runs: dict[str, Any]) -> list[RunRow]:
    for number, changes in enumerate(runs):
        write_run(folder / str(number), **changes)
    return read_rows([folder])


def test_an_arm_is_its_normalizer_and_the_options_that_vary(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {"normalizer": "identity"},
        {"normalizer": "soft", "normalizer__eps": 0.1},
        {"normalizer": "soft", "normalizer__eps": 0.2},
        {"normalizer": "soft", "normalizer__eps": 0.2, "classifier__dropout": 0.0},
        {"normalizer": "identity", "seed": 1, "optimizer__lr": 1e-3},
    )
    name_arms(rows)
    assert [row.arm for row in rows] == [
        "identity",
        "soft eps=0.1",
        "soft eps=0.2",
        "soft eps=0.2 classifier.dropout=0.0",
        "identity",
    ]


def losses(**changes: Any) -> dict[str, Any]:
    return {f"loss__{name}": value for name, value in changes.items()}


def test_the_loss_divides_arms_whatever_it_is_made_of(tmp_path: Path) -> None:
    weighted = losses(class_weights={"neg": 1, "pos": 3})
    rows = rows_of(tmp_path, {}, {}, losses(class_weights="balanced"), weighted, losses(label_smoothing=0.1))
    name_arms(rows)
    assert [row.arm for row in rows] == [
        "identity",
        "identity",
        "identity loss.class_weights=balanced",
        "identity loss.class_weights={'neg': 1, 'pos': 3}",
        "identity loss.label_smoothing=0.1",
    ]


def test_a_run_of_before_the_loss_was_an_option_has_its_default(tmp_path: Path) -> None:
    smoothed = losses(label_smoothing=0.1)
    rows = rows_of(tmp_path, {}, {}, smoothed, smoothed, smoothed)
    del rows[0].blocks["loss"]
    name_arms(rows)
    assert [row.arm for row in rows] == [*["identity loss.label_smoothing=0.0"] * 2, *["identity"] * 3]


def test_seeds_and_places_make_no_arm_and_no_difference(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"seed": 0, "normalizer__seed": 0}, {"seed": 1, "normalizer__seed": 1, "model__path": "y"})
    name_arms(rows)
    assert {row.arm for row in rows} == {"identity"}
    assert varying(rows, ("model", "normalizer")) == {}


def test_settings_can_divide_arms_and_data(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"data__max_length": 48}, {"data__max_length": 64, "optimizer__lr": 1e-3})
    name_arms(rows, by=["data.max_length"], arms=["optimizer"])
    assert [row.task for row in rows] == ["trec data.max_length=48", "trec data.max_length=64"]
    assert {row.arm for row in rows} == {"identity optimizer=adamw"}
    assert rates(rows) == (1e-4, 1e-3)
