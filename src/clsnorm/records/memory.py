"""What a run measures of its memory, and how it keeps it small."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override


class Memory(Callback):
    """Measures the largest memory since it was made, and keeps it small between training and evaluation.

    The largest memory is that of the GPU where one is used, else of this process.

    On Linux the kernel's high-water mark is set back at the start, so that a job of a sweep does not report that of the
    job before it. Where that cannot be done, the mark of the whole process is all there is.

    Batches of training and of evaluation differ in size, and so do the holes that they leave in glibc's heap. Unless it
    is told to, glibc gives none of it back, and a run's memory grows by some 500 MB that nobody uses.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def mb(self) -> float:
        """Returns it in MB (2^20 bytes)."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return torch.cuda.max_memory_allocated() / 2**20
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
        per_mb = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        give_back()

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        give_back()

    @override
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        give_back()


def give_back() -> None:
    """Gives memory that was freed back to the system, where the C library keeps it (glibc); milliseconds."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
