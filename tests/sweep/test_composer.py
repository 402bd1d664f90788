"""Names of jobs are those that Hydra composes, however they are found; many are found quickly."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from clsnorm.command.composition import checked_composition
from clsnorm.sweep.composer import Composer
from clsnorm.sweep.template import NotPlainError, Template

Make = Callable[..., Composer]


@pytest.fixture
def make(root: Path, workspace: Path) -> Iterator[Make]:
    """A composer of a sweep that is typed with these words."""
    with checked_composition(), initialize_config_dir(str(root / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader

        def make(*words: str) -> Composer:
            return Composer(loader, loader.load_configuration("train", list(words), RunMode.MULTIRUN))

        yield make


def product(**values: list[Any]) -> list[list[str]]:
    keys = [key.replace("__", ".") for key in values]
    return [
        [f"{key}={value}" for key, value in zip(keys, chosen, strict=True)]
        for chosen in itertools.product(*values.values())
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"normalizer": ["identity", "zca_whitening"], "seed": [0, 1]},
        {"seeds__init": [0, 1], "seed": [5, 6]},
        {"optimizer__lr": ["1e-5", "2.5e-5", 1], "logger": ["wandb"]},
        {"data__max_train_examples": [100, "null"], "abort_on": ["[]", "[explosion]"]},
        {"model__path": ["a", "b", "c"], "model": ["any"]},
        {"model__freeze": ["null", 1, 2]},
        {"loss__label_smoothing": [0.1, 0.0, 0], "seed": [0, 1]},
        {"loss__class_weights": ["null", "balanced", "{0: 1, 1: 3}"]},
    ],
)
def test_names_are_those_that_hydra_composes(make: Make, values: dict[str, list[Any]]) -> None:
    jobs = product(**values)
    composer = make()
    expected = [str(composer.compose(words, 0).hydra.sweep.subdir) for words in jobs]
    found = composer.plan(jobs)
    assert [job.name for job in found] == list(dict.fromkeys(expected))
    assert all(job.settings["rows"] for job in found)


def test_settings_follow_the_values(make: Make) -> None:
    jobs = make().plan(product(data__max_train_examples=[100, 200], trainer__max_epochs=[1, 2, 3]))
    assert [(job.settings["rows"], job.settings["epochs"]) for job in jobs] == [
        *itertools.product([100, 200], [1, 2, 3])
    ]


def test_ten_thousand_jobs_take_seconds(make: Make) -> None:
    composer = make()
    began = time.process_time()
    jobs = composer.plan(
        product(normalizer=["identity", "layernorm"], seeds__init=list(range(50)), seeds__order=list(range(100)))
    )
    assert len({job.name for job in jobs}) == 10_000
    assert time.process_time() - began < 60  # by composing each: 40 minutes


def test_a_part_is_no_plain_value(make: Make) -> None:
    config = make().compose(["seed=0"], 0)
    for key in ("optimizer", "paths.cache", "model.path", "model.freeze", "none"):
        with pytest.raises(NotPlainError):
            Template(config, [key])


def test_two_jobs_of_one_configuration_are_one(make: Make) -> None:
    assert len(make().plan(product(seed=[0, 1, 0], checkpoint_every=[100, 200]))) == 2
