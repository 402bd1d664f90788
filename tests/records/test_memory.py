"""`PeakMemory`: the largest memory of a run."""

from __future__ import annotations

import numpy as np

from clsnorm.records import PeakMemory


def test_peak_memory_grows_with_allocated_memory() -> None:
    memory = PeakMemory()
    before = memory.mb()
    block = np.ones(64 * 2**20, np.uint8)
    assert memory.mb() > before + 50
    assert block[-1] == 1
