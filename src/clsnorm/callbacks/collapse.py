"""Collapse: does a classifier predict the same class for all examples, or do worse than a constant prediction?"""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from clsnorm.callbacks.logs import log
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import all_reduce_sum, gather_objects
from clsnorm.lightning_internals import step_number
from clsnorm.metrics import has_collapsed, largest_share, predictions

SHARE = "predictions/select/largest_share"


class Collapse(Observer):
    """Logs the share of the select split with the most frequent prediction; collapse and failure are events.

    ``predictions/select/largest_share`` is logged at each validation, exact on any number of devices; not in
    regression, which has no classes. It is NaN if a prediction is not finite. Two rules judge a validation:

    - ``failure``: `clsnorm.failure.Outcome`, with a margin for the score's sampling error; ``failed`` in the results
      applies it to the report split at the end.
    - ``majority_collapse``: `clsnorm.metrics.has_collapsed`, without a margin; ``collapsed`` in the results.

    An event's value is the score. A run may have a few of these events before it has learned anything. So only a
    lasting one can end it (``abort_on``): one in the second half of the training, if the same rule held at the previous
    validation, too. A failed run is one that ends so (Mosbach et al., 2021); after half of the steps it is not merely
    slow to start.
    """

    kinds = ("majority_collapse", "failure")

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._rows: list[tuple[Tensor, Tensor, Tensor]] = []
        self._majority: float | None = None
        self._held = dict.fromkeys(self.kinds, False)  # at the last validation

    @override
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"collapsed": self._held["majority_collapse"], "failed": self._held["failure"]}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # Files of older versions know one rule only.
        self._held = {
            "majority_collapse": state_dict["collapsed"], "failure": state_dict.get("failed", state_dict["collapsed"]),
        }  # fmt: skip

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classes = self.classifier(pl_module).num_outputs
        # One count per class; the last one counts the examples without a prediction.
        self._counts = None if classes == 1 else torch.zeros(classes + 1, dtype=torch.float64, device="cpu")
        self._rows = []

    @override
    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        logits = outputs["logits"]
        if self._counts is not None:
            answers = torch.where(logits.isfinite().all(-1), logits.argmax(-1), logits.shape[-1])
            self._counts += torch.bincount(answers, minlength=len(self._counts)).double().cpu()
        values = predictions(logits, regression=self._counts is None)
        self._rows.append((outputs["example_ids"].cpu(), values.cpu(), outputs["labels"].cpu()))

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
        collapsed = has_collapsed(score, self._majority, mode=data.mode, largest_share=share)
        late = trainer.global_step >= trainer.estimated_stepping_batches / 2
        for kind, holds in (("majority_collapse", collapsed), ("failure", data.judge(*self._gathered()).failed)):
            lasts, self._held[kind] = self._held[kind] and late, holds
            if holds:
                self.report(step=step_number(trainer), kind=kind, place=place, value=score, decisive=lasts)

    def _gathered(self) -> tuple[Tensor, Tensor]:
        """Returns values and labels of all examples of all processes, by example id."""
        rows, self._rows = [row for part in gather_objects(self._rows) for row in part], []
        ids, values, labels = (torch.cat(column) for column in zip(*rows, strict=True))
        order = ids.argsort(stable=True)
        return values[order], labels[order]
