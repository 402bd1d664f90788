"""Lightning's Trainer: which of its arguments a configuration may set, and to what; imports no torch.

Each argument works exactly, is set by the run itself, or is refused before training, with advice on what to set
instead. A refused one would change the data, the end or the files of a run without a trace in its records, or the run
would not resume exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from clsnorm.errors import InputError, is_whole, refuse, require_choice, require_positive, require_whole

# Weights stay in float32: in a half type, small updates would be lost and the targets of a regression rounded.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
Rule = Callable[[str, Any], None]  # raises InputError, given an argument's name and its value


def _left_out(reason: str, *usual: Any) -> Rule:
    """Returns a rule that admits only null and the values that change nothing."""
    return partial(_require_usual, usual=usual, reason=reason)


def _require_usual(key: str, value: Any, *, usual: tuple[Any, ...], reason: str) -> None:
    # 1 is one batch, 1.0 all of them: equal numbers of different types are different values.
    if value is not None and not any(type(value) is type(one) and value == one for one in usual):
        refuse(key, "left out", value, reason)


def _as_in_lightning(key: str, value: Any) -> None:
    """Admits all values: `clsnorm.config.roles.check_node` checks their types."""


def _require_limit(key: str, value: Any) -> None:
    if value != -1 or not is_whole(value):
        require_whole(key, value, least=1, advice="-1 sets no limit")


def _require_interval(key: str, value: Any) -> None:
    if not (is_whole(value) and value >= 1) and not (isinstance(value, float) and 0 < value <= 1):
        refuse(key, "a fraction of an epoch in (0, 1] or a positive whole number of batches", value)


def _require_algorithm(key: str, value: Any) -> None:
    if value is not None:
        require_choice(key, value, ("norm", "value"))


def _require_machines(key: str, value: Any) -> None:
    if value is not None:
        require_whole(key, value, least=1)


def require_devices(key: str, value: Any) -> None:
    """Raises `InputError` unless ``value`` is a number of devices or ``auto``."""
    if value != "auto" and not (is_whole(value) and value >= 1):
        refuse(key, "a positive whole number or auto", value)


_OF_THE_RUN = "The run itself sets it"
_SCORED = "Each validation scores the whole select split, and the report split is scored at the end"
_SHORT = "For a short trial, set data.max_train_examples=64 trainer.max_epochs=1"
REQUIRED: dict[str, Rule] = {  # conf/trainer/default.yaml has them, and the package reads them
    "accelerator": partial(require_choice, choices=ACCELERATORS),
    "accumulate_grad_batches": partial(require_whole, least=1),
    "devices": require_devices,
    "log_every_n_steps": partial(require_whole, least=1),
    "max_epochs": _require_limit,
    "max_steps": _require_limit,
    "precision": partial(require_choice, choices=PRECISIONS),
    "val_check_interval": _require_interval,
}
WORKING: dict[str, Rule] = {
    "benchmark": _as_in_lightning,
    "check_val_every_n_epoch": partial(
        require_whole, least=1, advice="trainer.val_check_interval sets how often to validate within an epoch"
    ),
    "detect_anomaly": _as_in_lightning,
    "deterministic": _as_in_lightning,
    "enable_autolog_hparams": _as_in_lightning,
    "gradient_clip_algorithm": _require_algorithm,
    "gradient_clip_val": partial(require_positive, or_null=True),
    "inference_mode": _as_in_lightning,
    "num_nodes": _require_machines,
    "strategy": _as_in_lightning,  # `clsnorm.config.rules.check_parts` checks it
}
REFUSED: dict[str, Rule] = {
    "barebones": _left_out("It would switch off logging, checkpoints and so the run's files", False),
    "callbacks": _left_out("Choose callbacks=none, default, or several: callbacks=[default,gradient_norms]"),
    "default_root_dir": _left_out("Set paths.output"),
    "enable_checkpointing": _left_out("A run's scores are those of its checkpoints, last.ckpt and selected.ckpt", True),
    "enable_model_summary": _left_out(_OF_THE_RUN),
    "enable_progress_bar": _left_out("Choose callbacks=progress for a progress bar, callbacks=none for none"),
    "fast_dev_run": _left_out(f"It would leave a run that looks finished after one batch. {_SHORT}", False, 0),
    "limit_predict_batches": _left_out("A run has no such pass", 1.0),
    "limit_test_batches": _left_out(f"{_SCORED}. Give a smaller file as data.report", 1.0),
    "limit_train_batches": _left_out(
        "An epoch is one pass over the training split. Set data.max_train_examples for fewer examples, "
        "or trainer.max_steps and trainer.val_check_interval for fewer steps between validations",
        1.0,
    ),
    "limit_val_batches": _left_out(f"{_SCORED}. Set trainer.val_check_interval to validate less often", 1.0),
    "logger": _left_out("Choose logger=none, wandb, tensorboard or mlflow"),
    "max_time": _left_out("Results would depend on the speed of the machine. Set trainer.max_steps"),
    "min_epochs": _left_out("Training ends only at its limit, or early by abort_on, early stopping or a divergence"),
    "min_steps": _left_out("Training ends only at its limit, or early by abort_on, early stopping or a divergence"),
    "model_registry": _left_out("Weights are stored in the run's folder, as selected.ckpt"),
    "num_sanity_val_steps": _left_out(_OF_THE_RUN),
    "overfit_batches": _left_out(
        "The order of the examples changes with each epoch. Set data.max_train_examples to train on few examples",
        0,
        0.0,
    ),
    "plugins": _left_out("trainer.precision and trainer.strategy choose them"),
    "profiler": _left_out("results.json has the time of steps, calibration and observers. Run a profiler on train.py"),
    "reload_dataloaders_every_n_epochs": _left_out("The data do not change during a run", 0),
    "sync_batchnorm": _left_out("Normalizers take the statistics of a batch over all devices already", False),
    "use_distributed_sampler": _left_out("The data set divides each batch over the devices itself"),
}
ARGUMENTS = REQUIRED | WORKING | REFUSED


def check_trainer(given: dict[str, Any]) -> None:
    """Checks the values of Lightning's arguments, in the order of `ARGUMENTS`.

    Raises:
        InputError: If a value breaks its rule.
    """
    for name, rule in ARGUMENTS.items():
        if name in given or name in REQUIRED:
            rule(f"trainer.{name}", given.get(name))
    if given["max_epochs"] == given["max_steps"] == -1:
        raise InputError(
            "Expected trainer.max_epochs or trainer.max_steps to limit the run, but both are -1. Set one of them"
        )
