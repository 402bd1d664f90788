"""The two checkpoints of a run: where to resume, and the weights that the select split chose."""

from __future__ import annotations

import logging
import math
from collections.abc import Sized
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from typing_extensions import override

from clsnorm.errors import DamagedFileError
from clsnorm.files import put_in_place, sync, writing
from clsnorm.lightning_internals import ends_step, validation_is_due
from clsnorm.tensor_files import load_tensors

log = logging.getLogger(__name__)
START_OVER = "Delete it to start the run over: the training so far is lost"


class SelectedWeights(Checkpoint):
    """Stores the weights of the validation with the best monitored score (the earliest, if several tie).

    A score that is not finite never wins over one that is; if none is finite, the last validation is stored.

    Args:
        path: Checkpoint file; model weights only, no optimizer state.
        monitor: Logged name of the score, such as ``select/accuracy``.
        mode: Whether the best score is the largest or the smallest.
    """

    def __init__(self, path: Path, *, monitor: str, mode: str) -> None:
        self.path, self.monitor = path, monitor
        self._sign = 1.0 if mode == "max" else -1.0
        self.score = math.nan
        self.step = -1
        self.metrics: dict[str, float] = {}
        self.last_validated = -1

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "step": self.step,
            "metrics": dict(self.metrics),
            "last_validated": self.last_validated,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score, self.step = state_dict["score"], state_dict["step"]
        self.metrics, self.last_validated = state_dict["metrics"], state_dict["last_validated"]

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last_validated = trainer.global_step
        score = float(trainer.callback_metrics[self.monitor])
        if not self._improves(score):
            return
        self.score, self.step = score, trainer.global_step
        of_split = ("select/", "cls/select/")
        self.metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(of_split)}
        save_atomically(trainer, self.path, weights_only=True)

    def _improves(self, score: float) -> bool:
        if not math.isfinite(self.score):
            return True
        return math.isfinite(score) and self._sign * score > self._sign * self.score


class ResumePoint(Checkpoint):
    """Stores the full state from which an interrupted run resumes exactly.

    Saved after an optimizer step, at least every ``every`` steps, and after each validation. Never between a step and
    the validation that is due after it: Lightning would skip that validation when resuming. Must come after
    `SelectedWeights` among the callbacks, so that their states agree.

    A step's numbers are logged after its callbacks have run. So the file saved after a step takes its place only when
    the next hook comes, with those numbers on disk: a run killed in between resumes from the file before.

    Args:
        path: Checkpoint file.
        every: Optimizer steps between two resume points.
        data: Fingerprint of the data, stored in the file: a run may resume on no other data.
        events: The events so far; their number is stored in the file, as later ones will be seen again.
        config_hash: Of the run's configuration, stored in the file: names the run if config.yaml is damaged.
        commit: Git commit of the running code.

    Attributes:
        commits: Git commits of the code that has trained the run so far, in order.
    """

    def __init__(
        self, path: Path, *, every: int, data: str, events: Sized, commit: str | None, config_hash: str | None = None
    ) -> None:
        self.path, self.every, self.data, self.events, self.commits = path, every, data, events, [commit]
        self.config_hash = config_hash
        self._saved_at = 0
        self._waiting = False

    @override
    def state_dict(self) -> dict[str, Any]:
        own = {"data": self.data, "events": len(self.events), "commits": self.commits}
        return own | {"config_hash": self.config_hash}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        before = state_dict.get("commits", [])  # files of older versions have none
        self.commits = before + [commit for commit in self.commits if [commit] != before[-1:]]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_at = trainer.global_step
        if len(self.commits) > 1 and trainer.is_global_zero:
            log.warning("this run began at commit %s and resumes at %s", self.commits[0], self.commits[-1])

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_old = trainer.global_step - self._saved_at >= self.every
        if ends_step(trainer) and not validation_is_due(trainer) and is_old:
            self._save(trainer)

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._publish(trainer)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._publish(trainer)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and ends_step(trainer):
            self._save(trainer)
            self._publish(trainer)  # a validation is logged before this hook

    def _save(self, trainer: pl.Trainer) -> None:
        _save_draft(trainer, self.path, weights_only=False)
        self._saved_at, self._waiting = trainer.global_step, True

    def _publish(self, trainer: pl.Trainer) -> None:
        if not self._waiting:
            return
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            for path in self.path.parent.glob("*.csv"):  # on the disk before the file that counts on their rows
                sync(path)
        _put_in_place(trainer, self.path)
        self._waiting = False


def save_atomically(trainer: pl.Trainer, path: Path, *, weights_only: bool) -> None:
    """Saves a checkpoint, called on all ranks; ``path`` is replaced only by a complete file."""
    _save_draft(trainer, path, weights_only=weights_only)
    _put_in_place(trainer, path)


def _save_draft(trainer: pl.Trainer, path: Path, *, weights_only: bool) -> None:
    with writing(path):
        trainer.save_checkpoint(_draft(path), weights_only=weights_only)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def _put_in_place(trainer: pl.Trainer, path: Path) -> None:
    if trainer.is_global_zero:
        put_in_place(_draft(path), path)
    trainer.strategy.barrier("checkpoint replaced")


def position(checkpoint: Path, *, batches_per_epoch: int) -> tuple[int, int, int]:
    """Returns ``(epoch, first batch, optimizer step)`` at which a run resumes from a `ResumePoint` file."""
    state = _load(checkpoint)
    try:
        progress = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        epoch, start = divmod(progress["total"]["processed"], batches_per_epoch)
        return epoch, start, state["global_step"]
    except (KeyError, TypeError, IndexError):
        raise DamagedFileError.of(checkpoint, "it is not a resume point", START_OVER) from None


def require_whole(checkpoint: Path, selected: Path, module: torch.nn.Module) -> None:
    """Checks before training resumes that a `ResumePoint` file fits ``module``, and the selected weights are whole.

    Raises:
        DamagedFileError: If a file is damaged or missing, or of a version with other parameters.
    """
    state = _load(checkpoint)
    try:
        module.load_state_dict(state["state_dict"])
        step = state["callbacks"].get(SelectedWeights.__qualname__, {}).get("step", -1)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = f"its weights do not fit this model ({' '.join(str(error).split())[:200]})"
        raise DamagedFileError.of(checkpoint, reason, START_OVER) from None
    if step >= 0:
        load_tensors(
            selected, f"Delete it and {checkpoint} to start the run over: the selected weights are lost", mmap=True
        )


def data_fingerprint(checkpoint: Path) -> str | None:
    """Returns the fingerprint of the data in a `ResumePoint` file; None in a file of an older version."""
    return _own_state(checkpoint).get("data")


def count_events(checkpoint: Path) -> int:
    """Returns how many events there were when a `ResumePoint` file was saved; 0 in a file of an older version."""
    return int(_own_state(checkpoint).get("events", 0))


def _own_state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = _load(checkpoint).get("callbacks", {}).get(ResumePoint.__qualname__, {})
    return state


def _load(checkpoint: Path) -> dict[str, Any]:
    return load_tensors(checkpoint, START_OVER, mmap=True)
