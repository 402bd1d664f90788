"""The folder of a typed sweep: readable, and the same for whatever may be added to the sweep."""

from __future__ import annotations

import pytest

from clsnorm.config.sweep_names import DEFAULT, LONGEST, typed_name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["normalizer=identity,layernorm", "seed=0,1"], "normalizer_x_seed"),
        (["data=sst2", "seed=range(20)"], "seed_sst2"),
        (["optimizer.lr=1e-5,2e-5", "trainer.max_epochs=1", "data=rte"], "lr_rte_max_epochs=1"),
        (["seed=3"], "seed=3"),
        (["logger=wandb"], DEFAULT),
        ([], DEFAULT),
    ],
)
def test_names_are_readable(words: list[str], name: str) -> None:
    assert typed_name(words) == name


def test_more_values_and_another_order_meet_the_same_folder() -> None:
    first = ["normalizer=identity,layernorm", "data=sst2", "seed=0,1"]
    again = ["seed=range(30)", "data=sst2", "normalizer=isobn,identity,layernorm"]
    assert typed_name(first) == typed_name(again)


@pytest.mark.parametrize("word", ["logger=wandb", "callbacks=none", "paths.cache=x", "trainer.devices=2", "force=true"])
def test_what_cannot_change_a_result_does_not_count(word: str) -> None:
    assert typed_name(["seed=0,1", word]) == typed_name(["seed=0,1"])


def test_another_fixed_value_meets_another_folder() -> None:
    found = {
        typed_name(["seed=0,1", *more]) for more in ([], ["data=rte"], ["optimizer.lr=1e-5"], ["optimizer.lr=2e-5"])
    }
    assert len(found) == 4


def test_paths_and_long_lists_are_cut_but_stay_apart() -> None:
    found = {typed_name(["seed=0,1", f"data.train=/a/{part}/rows.csv"]) for part in "bcd"}
    assert len(found) == 3
    assert all(name.startswith("seed_train=rows-") for name in found)
    long = [f"data.metrics.m{number}.average=micro" for number in range(20)]
    assert len(typed_name(["seed=0,1", *long])) <= LONGEST + 7
