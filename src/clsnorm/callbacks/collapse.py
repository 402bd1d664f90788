"""Collapse: does a classifier predict the same class for all examples?"""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from clsnorm.callbacks.logs import log
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import all_reduce_sum
from clsnorm.lightning_internals import step_number
from clsnorm.metrics import has_collapsed, largest_share

SHARE = "predictions/select/largest_share"


class Collapse(Observer):
    """Logs the share of the select split with the most frequent prediction; a collapse is an event.

    ``predictions/select/largest_share`` is logged at each validation, exact on any number of devices; not in
    regression, which has no classes. It is NaN if a prediction is not finite. A validation that is collapsed according
    to `clsnorm.metrics.has_collapsed` is reported as ``majority_collapse``, with its score; ``collapsed`` in the
    results applies the same rule to the report split at the end. A run may have a few of these events before it has
    learned anything. So only a lasting collapse can end it (``abort_on``): one in the second half of the training, if
    the previous validation was collapsed, too. A failed run is one that ends collapsed (Mosbach et al., 2021); after
    half of the steps it is not merely slow to start.
    """

    kinds = ("majority_collapse",)

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._majority: float | None = None
        self._collapsed = False  # at the last validation

    @override
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"collapsed": self._collapsed}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._collapsed = state_dict["collapsed"]

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classes = self.classifier(pl_module).num_outputs
        # One count per class; the last one counts the examples without a prediction.
        self._counts = None if classes == 1 else torch.zeros(classes + 1, dtype=torch.float64, device="cpu")

    @override
    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        if self._counts is not None:
            logits = outputs["logits"]
            answers = torch.where(logits.isfinite().all(-1), logits.argmax(-1), logits.shape[-1])
            self._counts += torch.bincount(answers, minlength=len(self._counts)).double().cpu()

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._counts is None:
            return
        *counts, undefined = all_reduce_sum(self._counts)
        self.numbers[SHARE] = largest_share(torch.stack(counts), undefined=int(undefined))
        log(pl_module, self.numbers)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = self.data(trainer)
        if self._majority is None:
            self._majority = data.majority_score("select")
        place = f"select/{data.monitor}"
        score, share = float(trainer.callback_metrics[place]), self.numbers.get(SHARE, math.nan)
        before = self._collapsed
        self._collapsed = has_collapsed(score, self._majority, mode=data.mode, largest_share=share)
        if self._collapsed:
            lasts = before and trainer.global_step >= trainer.estimated_stepping_batches / 2
            self.report(step=step_number(trainer), kind="majority_collapse", place=place, value=score, decisive=lasts)
