"""How biased and how isotropic the [CLS] embedding is, before, during and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.distributions import able, dimension_table, histograms
from clsnorm.callbacks.logs import log, log_directly
from clsnorm.callbacks.observer import Observer
from clsnorm.callbacks.split_pass import SplitPass, fixed_rows
from clsnorm.callbacks.train_window import TrainWindow
from clsnorm.errors import refuse, require_switch, require_whole
from clsnorm.lightning_internals import ends_step, step_number
from clsnorm.statistics import Collection, Snapshot, find, save

POINTS = ("h", "z")  # before and after the normalizer


class ClsStatistics(Observer):
    """Logs statistics of [CLS] embeddings before (``h``) and after (``z``) the normalizer.

    Each of ``numbers`` is logged as ``cls/{split}/{point}/{number}``, where the split is

    - ``start``: the select split before the first step, after a normalizer's calibration. Along with it,
      ``cls/noise/{number}`` is the value for as many rows of isotropic noise, if known and the same at all points;
    - ``train``: training batches as in the step, so with dropout: those of the last ``window`` optimizer steps before
      every ``every``-th logged step;
    - ``select``: the select split at each validation. A calibrated normalizer also has
      ``cls/select/staleness/{shift,stretch}``, and ``shape`` if it has a matrix: how far h has moved since the
      calibration. As these compare a few examples with the whole training split, a shift of about
      ``1 / sqrt(examples)`` is noise;
    - ``report``, ``report_...``: each report split at the end, by its name.

    In the results ``cls/select/...`` and ``cls/report/...`` are for the selected weights, as the scores are, and
    ``last/cls/select/...`` for the last weights. The latest accumulators are stored in
    ``statistics/{split}_{point}.npz``, and with ``keep_validations`` those of each validation in
    ``statistics/validations/step{number}_{point}.npz``; `clsnorm.statistics.load` reads them, and any other statistic
    can be computed from them.

    Exact on any number of devices and for any batch size: accumulators are summed, never averaged. Only training steps
    that log wait for the device.

    A W&B run gets histograms at h and z over the select split, at the first validation of each epoch: 64 bins each for
    the dimensions' means and standard deviations and for the examples' norms, about 10 kB per epoch; and at the end one
    table of means and standard deviations over the report split, a row per dimension.

    Args:
        numbers: Statistics of the catalogue, by name (`docs/statistics.md`); those of classes are skipped in
            regression.
        max_examples: At most this many examples of a split, those with the smallest hashes of their ids: always the
            same random sample, for any order, batch size and number of processes; None: all.
        every: Logged steps between two measurements of training batches; None: no such measurements.
        window: Optimizer steps whose batches such a measurement covers: at most all since the last one.
        layers: Whether ``start``, ``select`` and ``report`` also cover each layer (``layer00``, ...) and the pooler
            (``pooler_pre``, ``pooler``), which costs one more pass over at most ``max_examples`` of each split.
        keep_validations: Whether to store the accumulators of each validation, at least ``8 * dim^2`` bytes per place.

    Raises:
        InputError: If a number is not in the catalogue, ``max_examples``, ``every`` or ``window`` is not a whole number
            of at least 1, or a switch is not true or false.
    """

    def __init__(
        self,
        *,
        numbers: list[str],
        max_examples: int | None,
        every: int | None,
        window: int,
        layers: bool,
        keep_validations: bool,
    ) -> None:
        require_whole("cls_statistics.max_examples", max_examples, least=1, or_null=True)
        require_whole("cls_statistics.every", every, least=1, or_null=True)
        require_whole("cls_statistics.window", window, least=1)
        require_switch("cls_statistics.layers", layers)
        require_switch("cls_statistics.keep_validations", keep_validations)
        if isinstance(numbers, str):
            refuse("cls_statistics.numbers", "a list of names", numbers, f"Use [{numbers}]")
        self._statistics = [find(name, argument="numbers") for name in numbers]
        self._max_examples, self._every, self._length, self._layers = max_examples, every, window, layers
        self._keeps_validations = keep_validations
        self._layer_snapshots: dict[str, Snapshot] = {}  # of the current validation
        self._chosen: dict[str, np.ndarray] = {}  # indices of the observed examples, by split
        self._passes: dict[str, SplitPass] = {}  # by split, in the order of the loaders
        self._window: TrainWindow | None = None
        self._saved_window: dict[str, Any] | None = None
        self._drawn_epoch = -1  # the last epoch with histograms

    @override
    def state_dict(self) -> dict[str, Any]:
        window = None if self._window is None else self._window.state_dict()
        return super().state_dict() | {"drawn_epoch": self._drawn_epoch, "window": window}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._drawn_epoch, self._saved_window = state_dict["drawn_epoch"], state_dict["window"]

    # Before training

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._open_window(trainer)
        if trainer.global_step > 0:  # resumed after the start
            return
        walked = self._walk(trainer, pl_module, "select", trainer.strategy.validation_step, points=POINTS)
        numbers = self._finish(trainer, "start", walked) | self._noise(walked["h"])
        log_directly(trainer, numbers, step=step_number(trainer))

    def _noise(self, snapshot: Snapshot) -> dict[str, float]:
        """Returns the values for noise that depend only on the number of rows, dimensions and classes."""
        unconditional = [s for s in self._statistics if not s.conditional and s.applies_to(snapshot)]
        nulls = {s.key: s.expected(snapshot) for s in unconditional}
        numbers = {f"cls/noise/{key}": value for key, value in nulls.items() if value is not None}
        self.numbers.update(numbers)
        return numbers

    # Training batches

    def _open_window(self, trainer: pl.Trainer) -> None:
        if self._every is None:
            return
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        names = (*POINTS, "labels", "example_ids")
        self._window = TrainWindow(names, period=self._every * every, length=self._length)
        if self._saved_window is not None:
            self._window.load_state_dict(self._saved_window)
            self._saved_window = None

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._window is None:
            return
        step = step_number(trainer)
        self._window.add(outputs, step=step)
        if ends_step(trainer) and self._window.is_due(step):
            collection = Collection(**self._shape(trainer, pl_module), places=POINTS)
            for rows in self._window.take(pl_module.device):
                points = {point: rows[point] for point in POINTS}
                collection.update(points, rows["labels"], rows["example_ids"])
            collection.all_reduce()
            log_directly(trainer, self._finish(trainer, "train", collection.snapshots), step=step)

    # Validation and test passes

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        normalizer = self.classifier(pl_module).normalizer
        self._passes = {"select": self._new_pass(trainer, pl_module, "select", points=POINTS, normalizer=normalizer)}
        if self._layers:  # before the scored pass starts, so that these steps are not scored
            self._layer_snapshots = self._walk(
                trainer, pl_module, "select", trainer.strategy.validation_step, points=()
            )

    @override
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        names = self.data(trainer).report_names
        self._passes = {name: self._new_pass(trainer, pl_module, name, points=POINTS) for name in names}

    @override
    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        self._passes["select"].update(outputs)

    @override
    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        list(self._passes.values())[dataloader_idx].update(outputs)

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        select = self._passes["select"]
        snapshots = _reduced(select)
        moved = {f"cls/select/staleness/{name}": value for name, value in select.staleness().items()}
        self.numbers.update(moved)
        log(pl_module, self._finish(trainer, "select", snapshots | self._layer_snapshots) | moved)
        if self._keeps_validations:
            _save(trainer, f"validations/step{step_number(trainer):06d}", snapshots | self._layer_snapshots)
        if trainer.is_global_zero and trainer.current_epoch > self._drawn_epoch:
            for logger in able(trainer.loggers):
                logger.log_histograms(histograms(snapshots, prefix="cls/select"), step=step_number(trainer))
        self._drawn_epoch = max(self._drawn_epoch, trainer.current_epoch)

    @override
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, finished in self._passes.items():
            snapshots = _reduced(finished)
            log(pl_module, self._finish(trainer, name, snapshots))
            if trainer.is_global_zero:
                columns, rows = dimension_table(snapshots)
                for logger in able(trainer.loggers):
                    logger.log_table(f"cls/{name}/dimensions", columns, rows, step=step_number(trainer))

    @override
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A separate pass, as returning the layers changes the last bits of the embedding.
        for part, name in enumerate(self.data(trainer).report_names if self._layers else ()):
            step = partial(trainer.strategy.test_step, dataloader_idx=part)
            walked = self._walk(trainer, pl_module, name, step, points=())
            log_directly(trainer, self._finish(trainer, name, walked), step=step_number(trainer))

    # Shared by these

    def _shape(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Returns the dimensions of [CLS] and the number of classes, 0 in regression."""
        data = self.data(trainer)
        dim = self.classifier(pl_module).encoder.dim
        return {"dim": dim, "num_classes": 0 if data.regression else data.num_outputs}

    def _new_pass(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str, **options: Any) -> SplitPass:
        ids = self.data(trainer).ids_of(split)
        if split not in self._chosen:
            self._chosen[split] = fixed_rows(ids, self._max_examples)
        return SplitPass(**self._shape(trainer, pl_module), ids=ids[self._chosen[split]], **options)

    def _walk(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        split: str,
        step: Callable[..., Any],
        *,
        points: Sequence[str],
    ) -> dict[str, Snapshot]:
        """Runs the chosen examples of a split through the classifier and returns their statistics."""
        walked = self._new_pass(trainer, pl_module, split, points=points)
        loader = self.data(trainer).rows_dataloader(split, self._chosen[split])
        walked.walk(loader, step, self.classifier(pl_module), device=pl_module.device, layers=self._layers)
        return _reduced(walked)

    def _finish(self, trainer: pl.Trainer, split: str, snapshots: Mapping[str, Snapshot]) -> dict[str, float]:
        """Saves the accumulators and returns the numbers, equal on all ranks."""
        numbers = {
            f"cls/{split}/{place}/{statistic.key}": statistic.value(snapshot)
            for place, snapshot in snapshots.items()
            for statistic in self._statistics
            if statistic.applies_to(snapshot)
        }
        _save(trainer, split, snapshots)
        self.numbers.update(numbers)
        return numbers


def _reduced(finished: SplitPass) -> dict[str, Snapshot]:
    """Returns the statistics over all processes. Collective."""
    finished.all_reduce()
    return finished.collection.snapshots


def _save(trainer: pl.Trainer, name: str, snapshots: Mapping[str, Snapshot]) -> None:
    if trainer.is_global_zero:
        for place, snapshot in snapshots.items():
            save(Path(trainer.default_root_dir) / "statistics" / f"{name}_{place}.npz", snapshot)
