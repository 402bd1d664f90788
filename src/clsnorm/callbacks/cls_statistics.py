"""How biased the [CLS] embedding is, before, during and after training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.base import Observer
from clsnorm.errors import InputError
from clsnorm.files import replacing
from clsnorm.statistics import Moments, centred_share, top_energy_share

POINTS = ("h", "z")


class ClsStatistics(Observer):
    """Logs the bias of [CLS] embeddings before (``h``) and after (``z``) the normalizer.

    Logged over the select split at each validation, before the first step (as ``start``) and over the report
    split at the end, for ``point`` in ``h`` and ``z``. In the results ``cls/select/...`` and ``cls/report/...`` are of
    the selected weights, as the scores are, and ``last/cls/select/...`` of the last ones.

    - ``cls/{split}/{point}/centred_share``: the mean's share in the mean square, ``||mu||^2 / E||h||^2``; 0 for
      centred embeddings, 1 if all are the same.
    - ``cls/{split}/{point}/top_energy_share``: the ``top`` largest ``E[h_i^2]`` as a share of their sum.

    Exact on any number of devices and for any batch size: moments are added up, never averaged. The moments
    themselves are kept in ``statistics/*.npz``, of the last time. At the start a normalizer is already calibrated.

    Args:
        top: Dimensions in the energy share.
        max_examples: At most this many of a split, the same ones each time (whole batches, from its start); None: all.

    Raises:
        InputError: If ``top`` or ``max_examples`` is not positive.
    """

    def __init__(self, *, top: int, max_examples: int | None) -> None:
        if top < 1:
            raise InputError(f"Expected argument `top` to be a positive number of dimensions, but got {top}")
        if max_examples is not None and max_examples < 1:
            raise InputError(f"Expected argument `max_examples` to be positive or null, but got {max_examples}")
        self._top = top
        self._max_examples = math.inf if max_examples is None else max_examples
        self._seen = 0
        self._moments: dict[str, Moments] = {}
        self._numbers: dict[str, float] = {}

    @override
    def summary(self) -> dict[str, float]:
        return dict(self._numbers)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"numbers": self.summary()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._numbers = dict(state_dict["numbers"])

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step > 0:  # resumed: the start is past, measured or not
            return
        classifier: Any = pl_module.classifier
        self._restart()
        with classifier.evaluating():
            for number, batch in enumerate(trainer.datamodule.val_dataloader()):  # type: ignore[attr-defined]
                if self._is_full:
                    break
                # Through the strategy, as a validation goes: one that shards parameters must see the call.
                outputs = trainer.strategy.validation_step(batch.to(pl_module.device), number)
                self._update(outputs, batch)  # type: ignore[arg-type]
        numbers = self._finish(trainer, "start", dimension=classifier.encoder.dim)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=0)

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restart()

    @override
    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._update(outputs, batch)

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, pl_module, "select")

    # a test pass is collected as a validation is
    on_test_start = on_validation_start
    on_test_batch_end = on_validation_batch_end

    @override
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, pl_module, "report")

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        dimension: int = pl_module.classifier.encoder.dim  # type: ignore[union-attr,assignment]
        pl_module.log_dict(self._finish(trainer, split, dimension=dimension), rank_zero_only=True)

    def _restart(self) -> None:
        self._moments, self._seen = {}, 0

    @property
    def _is_full(self) -> bool:
        return self._seen >= self._max_examples

    def _update(self, outputs: dict[str, torch.Tensor], batch: Batch) -> None:
        if self._is_full:
            return
        self._seen += batch.global_size  # counted over all ranks: they stop at the same batch
        for point in POINTS:
            values = outputs[point]
            if point not in self._moments:
                self._moments[point] = Moments(values.shape[-1])
            self._moments[point].update(values)

    def _finish(self, trainer: pl.Trainer, split: str, *, dimension: int) -> dict[str, float]:
        """Adds up the ranks, keeps the moments and returns the numbers, the same on all ranks."""
        numbers: dict[str, float] = {}
        for point in POINTS:
            moments = self._moments.get(point, Moments(dimension))
            moments.all_reduce()
            numbers[f"cls/{split}/{point}/centred_share"] = float(centred_share(moments))
            numbers[f"cls/{split}/{point}/top_energy_share"] = float(top_energy_share(moments, k=self._top))
            if trainer.is_global_zero:
                _save(Path(trainer.default_root_dir) / "statistics" / f"{split}_{point}.npz", moments)
        self._numbers.update(numbers)
        return numbers


def _save(path: Path, moments: Moments) -> None:
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in moments.state_dict().items()}
    with replacing(path) as draft:
        np.savez(draft, **arrays)
