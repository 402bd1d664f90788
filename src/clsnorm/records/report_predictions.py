"""Writes ``predictions.parquet``: the selected model's answer to each example of the report split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm import distributed
from clsnorm.metrics import largest_share, predictions
from clsnorm.run_folder.predictions import prediction_rows, write_predictions

if TYPE_CHECKING:
    import pandas as pd


class Predictions(Callback):
    """Collects the outputs of a test pass over all ranks and writes them, ordered by part and example id.

    Columns: see `clsnorm.run_folder.predictions.read_predictions`.

    Args:
        path: The Parquet file.
        regression: Whether the model predicts a number.
        parts: Names of the test loaders, in order.
        classes: Names of the classes in the order of their ids; None: they have none, as in regression.

    Attributes:
        largest_share: See `clsnorm.metrics.largest_share`; of the first part in the last pass; NaN in regression.
        first: Values, ``(n, C)`` or ``(n,)``, and labels of the first part in the last pass, by example id.
    """

    def __init__(self, path: Path, *, regression: bool, parts: list[str], classes: Sequence[str] | None = None) -> None:
        self._path, self._regression, self._parts = path, regression, parts
        self._classes = None if regression else classes
        self._frames: list[pd.DataFrame] = []
        self.largest_share = math.nan
        self.first = (torch.empty(0), torch.empty(0))

    @override
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._frames = []

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
        logits = outputs["logits"]  # (B, C), or (B, 1) in regression; B may be 0, so the shape is not inferred
        values = predictions(logits, regression=self._regression).view(logits.shape).cpu().numpy()
        ids, labels = (outputs[name].cpu().numpy() for name in ("example_ids", "labels"))
        part = self._parts[dataloader_idx]
        self._frames.append(prediction_rows(part, ids, labels, values, regression=self._regression))

    @override
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        import pandas as pd

        mine = pd.concat(self._frames, ignore_index=True)
        everyone = pd.concat(distributed.gather_objects(mine), ignore_index=True).sort_values(["part", "example_id"])
        first = everyone[everyone["part"] == self._parts[0]]
        values = first.filter(regex=r"^(p\d+|value)$").to_numpy()
        self.first = (
            torch.tensor(values[:, 0] if self._regression else values),
            torch.tensor(first["label"].to_numpy()),
        )
        if not self._regression:
            undefined = int(np.isnan(values).any(1).sum())
            self.largest_share = largest_share(np.bincount(values.argmax(1)), undefined=undefined)
        if trainer.is_global_zero:
            write_predictions(self._path, everyone, self._classes)
