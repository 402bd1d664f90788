"""The checkpoints of a run: where to resume, the weights that the select split chose, and on request all others."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from typing_extensions import override

from clsnorm import distributed
from clsnorm.errors import DamagedFileError
from clsnorm.files import put_in_place, sync_meanwhile, writing
from clsnorm.launch import interruption
from clsnorm.lightning_internals import ends_step, is_ending, validation_is_due
from clsnorm.records.checkpoint_writer import CheckpointWriter
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.events import Events
from clsnorm.run_folder.table_digest import Mark, TableDigest, as_mark
from clsnorm.seals import read_note
from clsnorm.tensor_files import load_tensors

log = logging.getLogger(__name__)
METRICS_MARK = "metrics"
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


class ValidatedWeights(Checkpoint):
    """Stores the weights of every validation, each in a file of its own: ``keep_weights=all``.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        save_atomically(trainer, self._folder.weights_after(trainer.global_step), weights_only=True)


class ResumePoint(Checkpoint):
    """Stores the full state from which an interrupted run resumes exactly.

    Saved after an optimizer step, at least every ``every`` steps, after each validation, and at the end of training.
    The last one is the state from which the rest is computed again, however often it is interrupted: the validation
    after training, the report splits and the results. Must come last among the callbacks, so that it stores what they
    have done at the same hook.

    Lightning resumes exactly from few moments. So nothing is saved

    - between a step and the validation that is due after it: Lightning would skip that validation;
    - after the last step of an epoch without a validation: it would skip ``on_train_epoch_end``;
    - between the last step of training and ``on_train_end``: it would skip the end of the last epoch.

    A step's numbers are logged after its callbacks have run. So the file saved after a step takes its place only when
    the next hook comes, with those numbers on disk: a run killed in between resumes from the file before.

    If an interruption is announced (`clsnorm.launch.interruption`), the state is saved after the next step, and
    training ends by `KeyboardInterrupt` as soon as the file is in place.

    Args:
        path: Checkpoint file.
        every: Optimizer steps between two resume points.
        data: Fingerprint of the data, stored in the file: a run may resume on no other data.
        events: The events so far; their number is stored in the file, as later ones will be seen again, and their
            digest.
        metrics: The numbers logged so far; their digest is stored in the file.
        config_hash: Of the run's configuration, stored in the file: names the run if config.yaml is damaged.
        commit: Git commit of the running code.

    Attributes:
        commits: Git commits of the code that has trained the run so far, in order.
    """

    def __init__(
        self,
        path: Path,
        *,
        every: int,
        data: str,
        events: Events,
        metrics: TableDigest,
        commit: str | None,
        config_hash: str | None = None,
    ) -> None:
        self.path, self.every, self.data, self.events, self.commits = path, every, data, events, [commit]
        self.metrics, self.config_hash = metrics, config_hash
        self._saved_at = 0
        self._waiting = False
        self._interrupted = False  # the same on all processes
        self._trainer: dict[str, Any] = {}  # what Lightning does not store of the trainer itself

    @override
    def state_dict(self) -> dict[str, Any]:
        events = {"events": len(self.events), "events_mark": self.events.digest.mark()}
        own = {"data": self.data, **events, "commits": self.commits}
        return own | {"config_hash": self.config_hash, "trainer": self._trainer}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        before = state_dict.get("commits", [])  # files of older versions have none
        self.commits = before + [commit for commit in self.commits if [commit] != before[-1:]]
        self._trainer = state_dict.get("trainer", {})

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["callbacks"].get(self.state_key, {}).get("trainer", {})
        trainer.should_stop = state.get("should_stop", False)

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore_metrics(trainer)  # if training has ended, there is no `on_train_start`

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore_metrics(trainer)  # some strategies read the checkpoint only after `on_fit_start`
        self._saved_at = trainer.global_step
        interruption.take_signals_back()
        if len(self.commits) > 1 and trainer.is_global_zero:
            log.warning("this run began at commit %s and resumes at %s", self.commits[0], self.commits[-1])

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if interruption.is_expected():
            self._interrupted = distributed.broadcast_object(interruption.announced() is not None)
        age = trainer.global_step - self._saved_at
        is_old = age >= (1 if self._interrupted else self.every)
        if is_old and ends_step(trainer) and not self._is_followed(trainer):
            self._save(trainer)

    @staticmethod
    def _is_followed(trainer: pl.Trainer) -> bool:
        """Returns whether another resume point will be due before the next step."""
        return validation_is_due(trainer) or trainer.is_last_batch or is_ending(trainer)

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._publish(trainer)
        if self._interrupted and trainer.global_step == self._saved_at:
            raise KeyboardInterrupt

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._publish(trainer)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and ends_step(trainer) and not is_ending(trainer):
            self._save(trainer)
            self._publish(trainer)  # a validation is logged before this hook
            if self._interrupted:
                raise KeyboardInterrupt

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)
        self._publish(trainer)

    def _restore_metrics(self, trainer: pl.Trainer) -> None:
        """Restores the last logged values, for callbacks that judge them: Lightning resets them when a fit starts."""
        trainer.callback_metrics.update(self._trainer.get("callback_metrics", {}))

    def _save(self, trainer: pl.Trainer) -> None:
        self._trainer = {
            "batches_per_epoch": trainer.num_training_batches,
            "should_stop": trainer.should_stop,
            "callback_metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items()},
        }
        _save_draft(trainer, self.path, weights_only=False)
        self._saved_at, self._waiting = trainer.global_step, True

    def _publish(self, trainer: pl.Trainer) -> None:
        if not self._waiting:
            return
        for logger in trainer.loggers:
            logger.save()
        self._mark_metrics(trainer.strategy.checkpoint_io)  # only now are all rows before it written
        _put_in_place(trainer, self.path)
        if trainer.is_global_zero:  # the rows first: a resumed run counts on them
            sync_meanwhile([*self.path.parent.glob("*.csv"), self.path, self.path.parent])
        self._waiting = False

    def _mark_metrics(self, writer: object) -> None:
        if isinstance(writer, CheckpointWriter):
            writer.add_note(_draft(self.path), {METRICS_MARK: self.metrics.mark()})


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
        put_in_place(_draft(path), path, synced=False)
    trainer.strategy.barrier("checkpoint replaced")


def position(checkpoint: Path, *, batches_per_epoch: int) -> tuple[int, int, int]:
    """Returns ``(epoch, first batch, optimizer step)`` at which a run resumes from a `ResumePoint` file.

    Args:
        checkpoint: The file.
        batches_per_epoch: For files of an older version, which do not store it.
    """
    state = _load(checkpoint)
    try:
        progress = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        batches_per_epoch = _own_state(checkpoint).get("trainer", {}).get("batches_per_epoch", batches_per_epoch)
        epoch, start = divmod(progress["total"]["processed"], batches_per_epoch)
        return epoch, start, state["global_step"]
    except (KeyError, TypeError, IndexError):
        raise DamagedFileError.of(checkpoint, "it is not a resume point", START_OVER) from None


def require_sound(checkpoint: Path, selected: Path, module: torch.nn.Module) -> None:
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


def table_marks(checkpoint: Path) -> tuple[Mark | None, Mark | None]:
    """Returns the marks of the rows of ``metrics.csv`` and ``events.csv``; None in a file of an older version."""
    events = _own_state(checkpoint).get("events_mark")  # verifies the file
    return as_mark(read_note(checkpoint).get(METRICS_MARK)), as_mark(events)


def _own_state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = _load(checkpoint).get("callbacks", {}).get(ResumePoint.__qualname__, {})
    return state


def _load(checkpoint: Path) -> dict[str, Any]:
    return load_tensors(checkpoint, START_OVER, mmap=True)
