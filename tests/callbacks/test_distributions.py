"""Histograms and the table of dimensions, for the loggers that support them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from clsnorm.callbacks.distributions import BINS, DistributionLogger, able, dimension_table, histograms
from clsnorm.statistics import Collection, Snapshot


class Shows:
    """A logger that supports distributions."""

    def log_histograms(self, histograms: Any, step: int) -> None: ...

    def log_table(self, key: str, columns: Any, data: Any, *, step: int) -> None: ...


def snapshots(rows: torch.Tensor) -> dict[str, Snapshot]:
    collection = Collection(rows.shape[1], num_classes=0, places=["h", "z"])
    collection.update({"h": rows, "z": rows * torch.nan}, torch.zeros(len(rows)), torch.arange(len(rows)))
    return dict(collection.snapshots)


def test_only_loggers_that_support_distributions_receive_them() -> None:
    shows = Shows()
    assert isinstance(shows, DistributionLogger)
    assert able([object(), shows]) == [shows]


def test_bins_and_rows_equal_those_of_numpy_and_a_place_without_finite_rows_has_none() -> None:
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = histograms(snapshots(rows), prefix="cls/select")
    assert {name.rpartition("/")[2] for name in found} == {"mean", "std", "norm"}
    assert all(name.startswith("cls/select/h/distribution/") for name in found)
    counts, edges = found["cls/select/h/distribution/norm"]
    assert (counts.sum(), len(edges)) == (50, BINS + 1)
    columns, table = dimension_table(snapshots(rows))
    assert columns == ["dimension", "h/mean", "h/std"]
    np.testing.assert_allclose(table, np.c_[np.arange(4), rows.mean(0), rows.std(0, correction=0)], atol=1e-12)
