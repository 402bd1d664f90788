"""Whether a classifier gives the same answer to everything."""

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
from clsnorm.metrics import has_collapsed

SHARE = "predictions/select/largest_share"


class Collapse(Observer):
    """Logs which share of the select split gets the most frequent answer; a collapse is an event.

    ``predictions/select/largest_share`` stands beside each validation, exact on any number of devices; regression has
    no classes, and logs nothing. A validation that `clsnorm.metrics.has_collapsed` finds collapsed is told as
    ``majority_collapse``, with its score, by the rule by which ``collapsed`` in the results judges the report split at
    the end. A run may have a few of these events before it has learned anything, so that only a collapse that lasts can
    end it (``abort_on``): one in the second half of the training, which the validation before has seen, too. A failed
    run is one that ends collapsed (Mosbach et al., 2021); half of it shows that it is not merely slow to begin.
    """

    kinds = ("majority_collapse",)

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._numbers: dict[str, float] = {}
        self._majority: float | None = None
        self._collapsed = False  # at the last validation

    @override
    def summary(self) -> dict[str, float]:
        return dict(self._numbers)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"collapsed": self._collapsed}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._collapsed = state_dict["collapsed"]

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classes = self.classifier(pl_module).num_outputs
        self._counts = None if classes == 1 else torch.zeros(classes, dtype=torch.float64, device="cpu")

    @override
    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        if self._counts is not None:
            answers = outputs["logits"].argmax(-1)
            self._counts += torch.bincount(answers, minlength=len(self._counts)).double().cpu()

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._counts is None:
            return
        counts = all_reduce_sum(self._counts)
        share = float(counts.max() / counts.sum())
        self._numbers = {SHARE: share}
        log(pl_module, self._numbers)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = self.data(trainer)
        if self._majority is None:
            self._majority = data.majority_score("select")
        place = f"select/{data.monitor}"
        score, share = float(trainer.callback_metrics[place]), self._numbers.get(SHARE, math.nan)
        before = self._collapsed
        self._collapsed = has_collapsed(score, self._majority, mode=data.mode, largest_share=share)
        if self._collapsed:
            lasts = before and trainer.global_step >= trainer.estimated_stepping_batches / 2
            self.report(step=step_number(trainer), kind="majority_collapse", place=place, value=score, decisive=lasts)
