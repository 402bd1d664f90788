"""`TrainEvalGap`: how far a normalizer's output in training is from the one that evaluation would give."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.logs import log_directly
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import all_reduce_sum
from clsnorm.lightning_internals import ends_step, is_logged, step_number
from clsnorm.normalizers.batch_statistics import statistics_dtype

GAP = "z/train_eval_gap"


class TrainEvalGap(Observer):
    r"""Logs how far the normalizer's output in training is from that in evaluation, on the same examples.

    .. math:: \text{z/train\_eval\_gap} = \sqrt{\sum_i \|z_i - z'_i\|^2 / \sum_i \|z'_i\|^2}

    over the examples of a logged optimizer step, with :math:`z` the output in training mode, whose statistics are those
    of the batch, and :math:`z'` that in evaluation mode, with the running statistics after this batch. Only for
    normalizers that mix the batch; 0 for all others, which are not measured. A model is trained on :math:`z` and scored
    on :math:`z'`: with a large gap the head is used on inputs that it was not trained on.

    The evaluation runs on a shallow copy without gradient. It changes no running statistics and draws no random
    numbers. Exact on any number of devices.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._due = False
        self._handle: RemovableHandle | None = None

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        normalizer = self.classifier(pl_module).normalizer
        if normalizer.mixes_batch:
            self._handle = normalizer.register_forward_hook(self._compare)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._due = is_logged(trainer)

    def _compare(self, module: nn.Module, inputs: tuple[Tensor, ...], z: Tensor) -> None:
        """Adds the squares of a training batch to the sums of its step."""
        if not (module.training and self._due):
            return
        evaluated = copy.copy(module)  # shares parameters and buffers, which evaluation only reads
        evaluated.training = False
        with torch.no_grad():
            found, expected = (x.to(statistics_dtype(x)) for x in (z, evaluated.forward(inputs[0])))
            sums = torch.stack([((found - expected) ** 2).sum(), (expected**2).sum()])
        self._sums = sums if self._sums is None else self._sums + sums

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._sums is None or not ends_step(trainer):
            return
        difference, expected = all_reduce_sum(self._sums).tolist()
        self._sums = None
        self.numbers[GAP] = math.sqrt(difference / expected) if expected else math.nan
        log_directly(trainer, dict(self.numbers), step=step_number(trainer))
