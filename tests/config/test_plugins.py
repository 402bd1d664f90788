"""Launchers and sweepers: the plugins' own defaults are admitted, arguments that could run code are not."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm.config.plugins import LAUNCHERS, SWEEPERS, plugin
from clsnorm.errors import InputError

JOBLIB = {
    "_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "n_jobs": -1,
    "backend": None,
    "prefer": "processes",
    "pre_dispatch": "2*n_jobs",
    "batch_size": "auto",
    "max_nbytes": None,
    "mmap_mode": "r",
}
SLURM = {
    "_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    "submitit_folder": "${hydra.sweep.dir}/.submitit/%j",
    "timeout_min": 60,
    "name": "${hydra.job.name}",
    "partition": None,
    "additional_parameters": {},
    "setup": None,
}
OPTUNA = {
    "_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": None, "n_startup_trials": 10},
    "direction": "minimize",
    "storage": None,
    "n_trials": 20,
    "search_space": None,
    "params": {"optimizer.lr": "tag(log, interval(1e-5, 1e-3))"},
    "custom_search_space": None,
}
SEARCH = {"_target_": "clsnorm.sweep.OptunaSearch", "trials": 8, "sampler": "tpe", "storage": "journal", "final": None}
BASIC = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "max_batch_size": None, "params": None}
CODE = {"_target_": "torch.hub.load"}


@pytest.mark.parametrize(
    ("kinds", "node", "more"),
    [
        (LAUNCHERS, {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, {}),
        (LAUNCHERS, JOBLIB, {"n_jobs": 4}),
        (LAUNCHERS, SLURM, {"partition": "gpu", "gres": "gpu:1"}),
        (SWEEPERS, BASIC, {"max_batch_size": 3, "params": {"seed": "range(3)"}}),
        (SWEEPERS, SEARCH, {"final": {"seed": "range(3)"}, "params": {"seed": "range(3)"}}),
        (SWEEPERS, OPTUNA, {"storage": "sqlite:///study.db", "direction": ["minimize", "maximize"]}),
        (SWEEPERS, OPTUNA, {"search_space": {"seed": {"type": "categorical", "choices": [1, 2]}}}),
    ],
)
def test_the_plugins_defaults_and_ordinary_values_are_admitted(
    kinds: dict[str, Any], node: dict[str, Any], more: dict[str, Any]
) -> None:
    plugin(kinds)("hydra.launcher", node)
    plugin(kinds)("hydra.launcher", node | more)


@pytest.mark.parametrize(
    ("kinds", "node", "more"),
    [
        (LAUNCHERS, {}, {}),
        (LAUNCHERS, CODE, {}),
        (LAUNCHERS, {"_target_": None}, {}),
        (LAUNCHERS, {"_target_": ["a"]}, {}),
        (LAUNCHERS, JOBLIB, {"pre_dispatch": "__import__('os').system('x')"}),
        (LAUNCHERS, JOBLIB, {"n_jobs": CODE}),
        (LAUNCHERS, JOBLIB, {"unknown": "x"}),
        (LAUNCHERS, SLURM, {"setup": ["touch x"]}),
        (LAUNCHERS, SLURM, {"python": "/tmp/evil"}),
        (LAUNCHERS, SLURM, {"additional_parameters": {"wrap": "x"}}),
        (LAUNCHERS, SLURM, {"partition": "a\ntouch x"}),
        (LAUNCHERS, SLURM, {"name": "${evil}"}),
        (LAUNCHERS, SLURM, {"submitit_folder": "/tmp"}),
        (SWEEPERS, BASIC, {"max_batch_size": 0}),
        (SWEEPERS, BASIC, {"params": {"x": CODE}}),
        (SWEEPERS, BASIC, {"params": CODE}),
        (SWEEPERS, BASIC, {"params": {"x": "${evil}"}}),
        (SWEEPERS, SEARCH, {"final": {"seed": CODE}}),
        (SWEEPERS, SEARCH, {"storage": "redis://host"}),
        (SWEEPERS, OPTUNA, {"custom_search_space": "os.system"}),
        (SWEEPERS, OPTUNA, {"sampler": CODE}),
        (SWEEPERS, OPTUNA, {"sampler": {**OPTUNA["sampler"], "constraints_func": CODE}}),
        (SWEEPERS, OPTUNA, {"sampler": {"_target_": "optuna.samplers.CmaEsSampler", "x0": CODE}}),
        (SWEEPERS, OPTUNA, {"storage": "redis://host"}),
        (SWEEPERS, OPTUNA, {"storage": CODE}),
        (SWEEPERS, OPTUNA, {"search_space": {"x": CODE}}),
        (SWEEPERS, OPTUNA, {"direction": CODE}),
        (SWEEPERS, OPTUNA, {"direction": [CODE]}),
    ],
)
def test_what_could_run_code_is_refused(kinds: dict[str, Any], node: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"hydra\.launcher"):
        plugin(kinds)("hydra.launcher", node | more)
