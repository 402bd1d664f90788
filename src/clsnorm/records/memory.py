"""The largest memory that a run has used."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch


class PeakMemory:
    """Measures the largest memory since it was created: of the GPU if one is used, else of this process.

    On Linux the kernel's high-water mark is reset at creation, so that a job of a sweep does not report the peak of the
    job before it. Elsewhere, the peak is that of the whole process.
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
