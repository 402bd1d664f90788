"""Settings of torch that hold while a run computes, and are as before afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import deterministic


@contextlib.contextmanager
def unfilled_memory() -> Iterator[None]:
    """Leaves new memory as it is in a ``with`` block.

    With ``trainer.deterministic=true`` torch fills each new tensor with NaN before an operation writes to it, so that
    operations which read what they have not written give the same result each time. Nothing here does: results are the
    same to the bit, which a test checks for runs with all kinds of parts.
    """
    settings: Any = deterministic  # a module whose attributes are properties
    before = settings.fill_uninitialized_memory
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        settings.fill_uninitialized_memory = before


@contextlib.contextmanager
def matrix_products(device: torch.device | str, *, tf32: bool) -> Iterator[None]:
    """Computes float32 matrix products on an NVIDIA GPU in TF32 or in float32, in a ``with`` block.

    TF32 rounds the factors to 10 bits of mantissa, and adds in float32. Products of float64, such as those of
    statistics, are not affected, nor is anything on other devices.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
