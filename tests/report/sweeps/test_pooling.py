from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sweep_folders import write_run

from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.pooling import notes, recurring, require_arm, require_poolable, without_copies
from clsnorm.report.sweeps.run_row import RunRow, read_rows


def rows_of(folder: Path, *runs: dict[str, Any]) -> list[RunRow]:
    for number, changes in enumerate(runs):
        write_run(folder / str(number), **changes)
    rows = read_rows([folder])
    name_arms(rows)
    return rows


def edit(run: Path, **changes: Any) -> None:
    write_sealed(run / "results.json", json.loads((run / "results.json").read_text()) | changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"data__max_length": 64}, "data.max_length"),
        ({"trainer__max_epochs": 1}, "trainer.max_epochs"),
        ({"optimizer__weight_decay": 0.1}, "optimizer.weight_decay"),
        ({"scheduler__warmup_ratio": 0.0}, "scheduler.warmup_ratio"),
    ],
)
def test_unequal_settings_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    rows = rows_of(tmp_path, {}, {"normalizer": "center", **changes})
    with pytest.raises(InputError, match=rf"{named} is .*--by {named}"):
        require_poolable(rows, baseline="identity")
    require_poolable(rows, baseline="identity", separated=[named])


def test_learning_rates_devices_and_seeds_may_differ(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {}, {"seed": 1}, {"optimizer__lr": 1e-3}, {"seed": 2, "trainer__devices": 2})
    require_poolable(rows, baseline="identity")


def test_other_data_under_one_name_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, normalizer="center")
    write_run(tmp_path)
    edit(run, source={"sha256": "another"})
    rows = read_rows([tmp_path])
    name_arms(rows)
    with pytest.raises(InputError, match="digest of the data"):
        require_poolable(rows, baseline="identity")


def test_two_results_of_one_configuration_are_refused_and_copies_count_once(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {}, {})
    require_poolable(rows, baseline="identity")
    assert len(without_copies(rows)) == 1
    edit(rows[1].path, metrics={"report/accuracy": 0.1})
    rows = read_rows([tmp_path])
    name_arms(rows)
    with pytest.raises(InputError, match="same configuration and seeds"):
        require_poolable(rows, baseline="identity")


def test_a_missing_baseline_is_refused(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"normalizer": "center"})
    with pytest.raises(InputError, match="no runs of the baseline 'identity'"):
        require_poolable(rows, baseline="identity")
    with pytest.raises(InputError, match="Did you mean 'center'"):
        require_arm("centre", rows)


def test_unpaired_seeds_and_unlike_commits_rates_and_streams_are_noted(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {},
        {"seed": 1},
        {"normalizer": "center"},
        {"normalizer": "center", "seed": 5, "optimizer__lr": 1e-3},
    )
    edit(rows[2].path, commit="b" * 40)
    rows = read_rows([tmp_path])
    name_arms(rows)
    text = "\n".join(notes(rows, baseline="identity"))
    assert "2 different commits, not the same ones in all arms" in text
    assert "values of optimizer.lr are not those of identity for center" in text
    assert "center lacks 1 of the 2 seeds of identity" in text
    assert "1 seeds of center have no run of identity" in text


def test_an_arm_that_changes_nothing_is_named(tmp_path: Path) -> None:
    arms = ("identity", "isobn", "center")
    for number, normalizer in enumerate(arms):
        for seed in range(2):
            run = write_run(tmp_path, normalizer=normalizer, seed=seed)
            loss = 0.5 + 1e-9 * (number == 2 and seed)  # one run of center differs in the ninth digit
            edit(run, metrics={"report/accuracy": 0.8, "report/loss": loss, "select/accuracy": 0.8})
    rows = read_rows([tmp_path])
    name_arms(rows)
    (found,) = [note for note in notes(rows, baseline="identity") if "changed nothing" in note]
    assert found.startswith("trec: isobn changed nothing: its 2 runs and those of identity have equal losses")


def test_streams_that_stay_or_recur_are_noted(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {}, {"seed": 1, "seeds__subset": 0}, {"seed": 2, "seeds__subset": 0, "seeds__order": 1})
    text = "\n".join(notes(rows, baseline="identity"))
    assert "all runs share one seed of subset" in text
    assert "seeds of order recur in several combinations" in text


def test_streams_that_always_move_together_do_not_recur() -> None:
    assert recurring([(0, 0, 0, 7, 0), (1, 1, 1, 7, 1), (2, 2, 2, 7, 2)]) == []
    assert recurring([(0, 0, 0, 0, 0), (0, 1, 1, 0, 0)]) == []  # one seed of init for all runs: nothing varies
    assert recurring([(i, o, 0, 0, 0) for i in range(2) for o in range(2)]) == ["init", "order"]


def test_runs_of_before_an_option_existed_are_pooled_with_those_that_have_its_default(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {}, {"seed": 1, "model__new": False}, {"seed": 2, "classifier__newer": 0.0})
    require_poolable(rows, baseline="identity")
    assert {row.arm for row in rows} == {"identity"}
    assert "2 runs have no model.new yet; taken for its default" in "\n".join(notes(rows, baseline="identity"))
    rows = rows_of(tmp_path / "unlike", {}, {"seed": 1, "model__new": False}, {"seed": 2, "model__new": True})
    with pytest.raises(InputError, match=r"model\.new is False in 1"):
        require_poolable(rows, baseline="identity")


def test_an_arm_that_warms_up_for_half_of_its_run_is_named(tmp_path: Path) -> None:
    for normalizer, warmup in (("long", 60), ("short", 59)):
        write_run(tmp_path, normalizer=normalizer, normalizer__warmup_steps=warmup)
    rows = read_rows([write_run(tmp_path).parent])
    name_arms(rows)
    found = [note for note in notes(rows, baseline="identity") if "warm-up" in note]
    assert found == ["trec: the warm-up of long takes 60 of 120 training batches"]


def test_a_run_of_before_freezing_is_not_pooled_with_frozen_ones(tmp_path: Path) -> None:
    """It has trained all layers, as `clsnorm.config.names.ADDED` says."""
    rows = rows_of(tmp_path, {"seed": 0}, {"seed": 1, "model__freeze": 4})
    with pytest.raises(InputError, match=r"model\.freeze"):
        require_poolable(rows, baseline="identity")
    same = rows_of(tmp_path / "same", {"seed": 0}, {"seed": 1, "model__freeze": None})
    require_poolable(same, baseline="identity")
