"""Each argument of Lightning's Trainer works or is refused; none is passed on unseen."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import pytorch_lightning as pl
from trainer_settings import MINIMAL

from clsnorm.config.trainer_arguments import ARGUMENTS, REFUSED, REQUIRED, WORKING, check_trainer
from clsnorm.errors import InputError


def test_every_argument_of_the_installed_lightning_is_in_one_table() -> None:
    known = set(inspect.signature(pl.Trainer).parameters)
    assert set(ARGUMENTS) == known, "say in trainer_arguments.py what happens to it"
    assert len(REQUIRED) + len(WORKING) + len(REFUSED) == len(known)
    assert set(MINIMAL) == set(REQUIRED)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_lightnings_default_of_a_refused_argument_is_admitted(name: str) -> None:
    default = inspect.signature(pl.Trainer).parameters[name].default
    if name not in ("use_distributed_sampler",):  # the run sets it to false
        check_trainer({**MINIMAL, name: default})
    check_trainer({**MINIMAL, name: None})


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("barebones", True, "run's files"),
        ("callbacks", {"es": {}}, "callbacks=none"),
        ("default_root_dir", "/tmp", "paths.output"),
        ("enable_checkpointing", False, "selected.ckpt"),
        ("enable_model_summary", True, "run itself"),
        ("enable_progress_bar", False, "callbacks=progress"),
        ("fast_dev_run", True, "data.max_train_examples=64"),
        ("fast_dev_run", 1, "data.max_train_examples=64"),
        ("limit_predict_batches", 1, "no such pass"),
        ("limit_test_batches", 0, "data.report"),
        ("limit_test_batches", 1, "data.report"),  # one batch, unlike 1.0
        ("limit_train_batches", 3, "data.max_train_examples"),
        ("limit_train_batches", 0.5, "data.max_train_examples"),
        ("limit_val_batches", 0, "trainer.val_check_interval"),
        ("limit_val_batches", 0.0, "trainer.val_check_interval"),
        ("logger", False, "logger=none"),
        ("max_time", "00:01:00:00", "trainer.max_steps"),
        ("max_time", {"hours": 1}, "trainer.max_steps"),
        ("min_epochs", 1, "abort_on"),
        ("min_steps", 1, "abort_on"),
        ("model_registry", "mine", "selected.ckpt"),
        ("num_sanity_val_steps", 2, "run itself"),
        ("overfit_batches", 2, "data.max_train_examples"),
        ("overfit_batches", 0.1, "data.max_train_examples"),
        ("plugins", [], "trainer.precision"),
        ("profiler", "simple", "results.json"),
        ("reload_dataloaders_every_n_epochs", 1, "do not change"),
        ("sync_batchnorm", True, "over all devices already"),
        ("use_distributed_sampler", True, "divides each batch"),
        ("check_val_every_n_epoch", None, "trainer.val_check_interval"),
        ("check_val_every_n_epoch", 0, "trainer.val_check_interval"),
        ("gradient_clip_algorithm", "nrom", "Did you mean 'norm'"),
        ("gradient_clip_val", 0, "positive"),
        ("num_nodes", 0, "whole number"),
        ("val_check_interval", "00:00:15:00", "fraction of an epoch"),
        ("val_check_interval", {"minutes": 5}, "fraction of an epoch"),
        ("max_epochs", None, "-1 sets no limit"),
        ("accumulate_grad_batches", {0: 2}, "whole number"),
    ],
)
def test_what_would_not_be_exact_is_refused_by_name_with_the_way_out(name: str, value: Any, advice: str) -> None:
    with pytest.raises(InputError, match=rf"`trainer\.{name}` .*got .*{advice}|`trainer\.{name}` .*{advice}.*got"):
        check_trainer({**MINIMAL, name: value})


def test_every_refusal_is_tried_above() -> None:
    (mark,) = test_what_would_not_be_exact_is_refused_by_name_with_the_way_out.pytestmark  # type: ignore[attr-defined]
    assert set(REFUSED) <= {name for name, *_ in mark.args[1]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("benchmark", True), ("detect_anomaly", True), ("deterministic", "warn"), ("inference_mode", False)),
        *(("check_val_every_n_epoch", 2), ("gradient_clip_algorithm", "value"), ("gradient_clip_val", None)),
        *(("num_nodes", 2), ("val_check_interval", 4), ("strategy", "ddp"), ("enable_checkpointing", True)),
        *(("limit_train_batches", 1.0), ("limit_val_batches", 1.0), ("overfit_batches", 0), ("fast_dev_run", False)),
    ],
)
def test_what_works_is_admitted(name: str, value: Any) -> None:
    check_trainer({**MINIMAL, name: value})


def test_a_run_without_any_limit_is_refused() -> None:
    with pytest.raises(InputError, match="limit the run"):
        check_trainer({**MINIMAL, "max_epochs": -1})


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_an_argument_that_the_package_reads_cannot_be_deleted(name: str) -> None:
    with pytest.raises(InputError, match=rf"`trainer\.{name}`.*None"):
        check_trainer({key: value for key, value in MINIMAL.items() if key != name})
