"""Whether a classifier gives the same answer to everything."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from clsnorm.callbacks.base import Observer
from clsnorm.distributed import all_reduce_sum
from clsnorm.steps import step_number


class Collapse(Observer):
    """Logs which share of the select split gets the most frequent answer; where it is all, that is an event.

    ``predictions/select/largest_share`` stands beside each validation, exact on any number of devices; 1 is written to
    ``events.csv`` as ``majority_collapse``. Whether a *run* has collapsed is judged on the report split, by its score
    (``collapsed`` in the results, after Mosbach et al., 2021). Regression has no classes, and logs nothing.
    """

    kinds = ("majority_collapse",)

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._numbers: dict[str, float] = {}

    @override
    def summary(self) -> dict[str, float]:
        return dict(self._numbers)

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        classes = classifier.num_outputs
        self._counts = None if classes == 1 else torch.zeros(classes, dtype=torch.float64, device="cpu")

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
        if self._counts is not None:
            answers = outputs["logits"].argmax(-1)
            self._counts += torch.bincount(answers, minlength=len(self._counts)).double().cpu()

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._counts is None:
            return
        counts = all_reduce_sum(self._counts)
        share = float(counts.max() / counts.sum())
        self._numbers = {"predictions/select/largest_share": share}
        pl_module.log_dict(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in self._numbers.items()},
            rank_zero_only=True,
        )
        if share == 1.0:
            self.tell(step=step_number(trainer), kind="majority_collapse", place="predictions/select", value=share)
