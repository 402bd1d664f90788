"""Do the training batches fit the normalizer, the regularizer, the schedule and the epoch? Checked before training."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from clsnorm import distributed
from clsnorm.errors import InputError
from clsnorm.model import FineTuner

if TYPE_CHECKING:
    from clsnorm.data import DataModule

log = logging.getLogger(__name__)
FEW_ROWS = 8  # statistics of fewer examples deserve a warning


def check_batch_sizes(config: dict[str, Any], data: DataModule, module: FineTuner) -> None:
    """Refuses batches that are too small, and steps and validations that never come; warns of batches of little use.

    Raises:
        InputError: If the training split has no batch, if a batch has too few examples, or if an optimizer step or a
            validation takes more batches than an epoch has.
    """
    if not data.steps_per_epoch:
        raise InputError(
            f"Expected data.batch_size of at most {data.train_size}, the training examples, with data.drop_last=true, "
            f"but got {data.batch_size}: no batch would be left. Set data.drop_last=false or a smaller data.batch_size"
        )
    _require_within_epoch("accumulate_grad_batches", config, data, "An optimizer step ends with its epoch")
    _require_within_epoch("val_check_interval", config, data, "A share of an epoch, such as 0.5, fits any data set")
    _require_rows("normalizer", module.classifier.normalizer.min_batch_size, config, data)
    _require_rows("regularizer", module.regularizer.min_batch_size, config, data)
    if distributed.rank() == 0:
        _warn(module, config["choices"]["normalizer"], data)
        _warn_of_warmups(module, config, data)
        _warn_of_logs(config, data)


def _require_within_epoch(name: str, config: dict[str, Any], data: DataModule, advice: str) -> None:
    """Raises InputError if a number of batches is larger than an epoch."""
    given = config["trainer"][name]
    if isinstance(given, int) and given > data.steps_per_epoch:
        raise InputError(
            f"Expected trainer.{name} to be at most {data.steps_per_epoch}, the batches of an epoch, but got {given}. "
            f"{advice}"
        )


def _require_rows(group: str, needed: int, config: dict[str, Any], data: DataModule) -> None:
    """Raises InputError if a batch has fewer examples than ``needed``."""
    if data.smallest_batch < needed:
        raise InputError(
            f"{group}={config['choices'][group]} needs at least {needed} examples in each training batch, but "
            f"{data.train_size} examples in batches of {data.batch_size} leave one of {data.smallest_batch}. Set "
            "data.drop_last=true, or choose another data.batch_size or data.max_train_examples"
        )


def _warn(module: FineTuner, name: str, data: DataModule) -> None:
    normalizer, largest = module.classifier.normalizer, min(data.batch_size, data.train_size)
    if normalizer.mixes_batch and data.smallest_batch < FEW_ROWS:
        log.warning(
            "normalizer=%s takes statistics of each training batch, and the smallest has %d examples: they are noise, "
            "and move the running statistics. Set data.drop_last=true, or a larger data.batch_size",
            *(name, data.smallest_batch),
        )
    if largest < normalizer.idle_below:
        log.warning(
            "normalizer=%s learns nothing from batches of fewer than %d examples, and all have %d: this run is that of "
            "normalizer=identity",
            *(name, normalizer.idle_below, largest),
        )


def _warn_of_warmups(module: FineTuner, config: dict[str, Any], data: DataModule) -> None:
    """Warns of warm-ups as long as the whole run: what comes after them is what the run is about."""
    name, steps = config["choices"]["normalizer"], _optimizer_steps(config, data)
    batches = steps * config["trainer"]["accumulate_grad_batches"]
    if 0 < batches <= (warmup := module.classifier.normalizer.warmup_steps):
        log.warning(
            "normalizer=%s starts after normalizer.warmup_steps=%d batches, but this run has at most %d: it is one of "
            "the warm-up alone. Set normalizer.warmup_steps to fewer",
            *(name, warmup, batches),
        )
    if 0 < steps <= (warmup := config["scheduler"].get("warmup_steps") or 0):
        log.warning(
            "scheduler.warmup_steps=%d, but this run has %d steps: the learning rate never reaches optimizer.lr. Set "
            "scheduler.warmup_steps to fewer, or null to use scheduler.warmup_ratio",
            *(warmup, steps),
        )


def _warn_of_logs(config: dict[str, Any], data: DataModule) -> None:
    every, steps = config["trainer"]["log_every_n_steps"], _optimizer_steps(config, data)
    if 0 < steps < every:
        log.warning(
            "trainer.log_every_n_steps=%d, but this run has %d steps: no numbers of its training are logged. Set "
            "trainer.log_every_n_steps=1",
            *(every, steps),
        )


def _optimizer_steps(config: dict[str, Any], data: DataModule) -> int:
    """Returns the steps that the run may take at most; 0 if they have no bound."""
    trainer = config["trainer"]
    epochs, limit = trainer["max_epochs"], trainer["max_steps"]
    in_epochs = -(-data.steps_per_epoch // trainer["accumulate_grad_batches"]) * (epochs or 0)
    return int(min((steps for steps in (in_epochs, limit or 0) if steps > 0), default=0))
