"""`HeapTrim`: freed memory goes back to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from clsnorm.records.heap import trim_heap

BLOCK = 100_000  # bytes: below what glibc returns at once


def resident() -> int:
    """Resident memory of this process in MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 2**10


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_holes_in_the_heap_are_returned() -> None:
    blocks = [np.ones(BLOCK, np.uint8) for _ in range(2000)]
    every_twentieth = blocks[::20]  # so that no end of the heap is free
    full = resident()
    del blocks
    trim_heap()
    assert resident() < full - 0.8 * 2000 * BLOCK / 2**20
    assert all(block.all() for block in every_twentieth)
