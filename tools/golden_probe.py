"""A callback that writes down every step to the bit; `tools/golden_runs.py` adds it to the runs that it compares."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

STOP_BEFORE = "GOLDEN_STOP_BEFORE"  # a batch, counted over all epochs, before which training crashes


def digest(tensor: Tensor) -> str:
    """Returns 16 hexadecimal digits of the sha256 of a tensor's values."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().float().numpy().tobytes()).hexdigest()[:16]


class GoldenProbe(Callback):
    """Appends one line of JSON for each batch to ``golden-<rank>.jsonl`` in the run folder.

    A line holds the loss as a hexadecimal float, the example ids, and digests of tokens, labels, h, z and logits.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if os.environ.get(STOP_BEFORE) == str(trainer.fit_loop.total_batch_idx):
            raise RuntimeError("stopped on purpose")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._write(trainer, "train", trainer.fit_loop.total_batch_idx, outputs, batch)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._write(trainer, f"select after {trainer.global_step}", batch_idx, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._write(trainer, f"report {dataloader_idx}", batch_idx, outputs, batch)

    def _write(self, trainer: pl.Trainer, split: str, number: int, outputs: Any, batch: Any) -> None:
        line = {
            "split": split,
            "batch": number,
            "loss": float(outputs["loss"]).hex(),
            "example_ids": batch.example_ids.tolist(),
            "tokens": digest(batch.token_ids),
            "labels": digest(batch.labels),
            **{name: digest(outputs[name]) for name in ("h", "z", "logits")},
        }
        path = Path(trainer.default_root_dir) / f"golden-{trainer.global_rank}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
