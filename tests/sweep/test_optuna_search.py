"""`OptunaSearch`: its arguments, and whole searches of tiny models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from clsnorm.errors import InputError
from clsnorm.sweep import Grid, LocalWorkers, OptunaSearch
from clsnorm.sweep.search_record import read_searches

OPTIONS = {"trials": 2, "early": 1, "sampler": "tpe", "seed": 0, "storage": "journal", "params": None, "final": None}
LR = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


@pytest.mark.parametrize(
    ("name", "value"),
    [("trials", 0), ("trials", 2.5), ("early", -1), ("seed", "x"), ("sampler", "grid"), ("storage", "redis")],
)
def test_arguments_that_break_their_rule_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"hydra\.sweeper\.{name}"):
        OptunaSearch(**{**OPTIONS, name: value})  # type: ignore[arg-type]


def test_typed_values_replace_those_of_a_file() -> None:
    sweeper = OptunaSearch(**{**OPTIONS, "params": {"seed": "range(3)", "optimizer.lr": "interval(1,2)"}})  # type: ignore[arg-type]
    space, final = sweeper.parsed(["seed=4", LR], None)  # type: ignore[arg-type]
    assert space.repeats == [("seed=4",)]
    assert space.intervals["optimizer.lr"].log
    assert final == []


def test_final_runs_are_at_the_chosen_values() -> None:
    sweeper = OptunaSearch(**{**OPTIONS, "final": {"seed": "range(5,7)", "data.max_length": 16}})  # type: ignore[arg-type]
    _, final = sweeper.parsed([LR], None)  # type: ignore[arg-type]
    assert final == [("seed=5", "data.max_length=16"), ("seed=6", "data.max_length=16")]
    sweeper = OptunaSearch(**{**OPTIONS, "final": {"optimizer.lr": 1}})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"hydra\.sweeper\.final"):
        sweeper.parsed([LR], None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("force", "launcher"), [(True, LocalWorkers(wait=True, quiet=True)), (False, SimpleNamespace())]
)
def test_force_and_launchers_that_cannot_share_are_refused(
    monkeypatch: pytest.MonkeyPatch, force: bool, launcher: object
) -> None:
    monkeypatch.setattr("clsnorm.sweep.optuna_search.require_optuna", lambda: None)
    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *words, **named: launcher)
    config = OmegaConf.create({"force": force, "hydra": {"launcher": {"_target_": "Basic"}}})
    with pytest.raises(InputError, match="force" if force else "hydra/launcher"):
        OptunaSearch(**OPTIONS).setup(hydra_context=None, task_function=None, config=config)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_search_typed_again_runs_nothing(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    pytest.importorskip("optuna")
    words = ["-m", "hydra/sweeper=optuna", *tiny_overrides, LR, "trainer.max_epochs=1", "callbacks=none"]
    words += ["hydra.sweeper.trials=2", "hydra.sweeper.early=1", "hydra.sweeper.final={seed: 5}"]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert "3 run here" in done.stdout
    (sweep,) = (workspace / "multirun").iterdir()
    (record,) = read_searches(sweep)
    assert f"all: optimizer.lr={record['chosen']['optimizer.lr']:g} (trials: 2 complete)" in done.stdout
    for trial in record["trials"]:
        (name,) = trial["runs"]
        results = json.loads((sweep / name / "results.json").read_text())
        assert results["metrics"]["select/accuracy"] == trial["score"]
    assert json.loads((sweep / record["final"][0] / "results.json").read_text())["seed"] == 5
    again = command(*words)
    assert again.returncode == 0, again.stderr
    assert "0 run here" in again.stdout
    assert read_searches(sweep) == [record]


@pytest.mark.slow
def test_a_search_of_nothing_leaves_nothing(command: Callable[..., Any], workspace: Path) -> None:
    pytest.importorskip("optuna")
    done = command("-m", "hydra/sweeper=optuna", "seed=0,1")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "interval" in done.stderr
    assert not (workspace / "multirun").exists()


def test_grids_refuse_intervals() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with pytest.raises(HydraException, match="does not support sweep type"):
        Grid.split_arguments(OverridesParser.create().parse_overrides([LR]), None)
