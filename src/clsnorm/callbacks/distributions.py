"""Histograms and a table of [CLS], for loggers that can show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from clsnorm.statistics import Snapshot

BINS = 64


@runtime_checkable
class DistributionLogger(Protocol):
    """A logger that can show more than numbers, such as `clsnorm.loggers.WandbRun`."""

    def log_histograms(self, histograms: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int) -> None:
        """Logs counts and edges of bins by name."""

    def log_table(self, key: str, columns: list[str], data: list[list[Any]], *, step: int) -> None:
        """Logs rows under column names."""


def histograms(snapshots: Mapping[str, Snapshot], *, prefix: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns counts and edges of `BINS` bins for each place's distributions; skips places without finite rows.

    ``{prefix}/{place}/distribution/mean`` and ``.../std`` are over dimensions, ``.../norm`` is over examples.
    """
    found = {}
    for place, snapshot in snapshots.items():
        if snapshot.count:
            mean, std = _per_dimension(snapshot)
            for name, values in (("mean", mean), ("std", std), ("norm", snapshot.norms.values)):
                found[f"{prefix}/{place}/distribution/{name}"] = np.histogram(values, bins=BINS)
    return found


def dimension_table(snapshots: Mapping[str, Snapshot]) -> tuple[list[str], list[list[Any]]]:
    """Returns columns and rows of means and standard deviations: a row per dimension, two columns per place."""
    filled = {place: snapshot for place, snapshot in snapshots.items() if snapshot.count}
    columns = ["dimension", *(f"{place}/{name}" for place in filled for name in ("mean", "std"))]
    values = [part.tolist() for snapshot in filled.values() for part in _per_dimension(snapshot)]
    return columns, [[dimension, *row] for dimension, row in enumerate(zip(*values, strict=True))]


def able(loggers: Iterable[Any]) -> list[DistributionLogger]:
    """Returns the loggers that can show more than numbers."""
    return [logger for logger in loggers if isinstance(logger, DistributionLogger)]


def _per_dimension(snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
    moments = snapshot.moments
    return moments.mean.cpu().numpy(), moments.variance.sqrt().cpu().numpy()
