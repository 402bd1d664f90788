"""The vote of the nearest training rows."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from clsnorm.probes.probe import FittedProbe, Probe, Start
from clsnorm.probes.train_rows import TrainRows

BLOCK = 1 << 24  # distances that are held at once


class Neighbours(Probe):
    """The majority of the ``k`` nearest training rows by Euclidean distance; of equal votes the smaller class id."""

    name = "knn"
    option = "k"
    values = (45, 15, 5, 1)
    affine_law = "changes: distances do; not under shift, rotation and one scale"

    def prepare(self, x: np.ndarray) -> np.ndarray:
        """Returns the rows whose Euclidean distances count."""
        return x

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        known = self.prepare(rows.x)
        squares = (known**2).sum(axis=1) / 2
        k = min(int(value), len(known))

        def scores(x: np.ndarray) -> np.ndarray:
            votes = [_votes(block, known, squares, rows.targets, k) for block in _blocks(self.prepare(x), len(known))]
            return rows.spread(np.concatenate(votes))

        return FittedProbe(scores)


class CosineNeighbours(Neighbours):
    """The majority of the ``k`` training rows with the largest cosine."""

    name = "cosine_knn"
    affine_law = "changes: angles do; not under rotation and one scale, but under a shift"

    @override
    def prepare(self, x: np.ndarray) -> np.ndarray:
        lengths = np.sqrt((x**2).sum(axis=1, keepdims=True))
        return x / np.where(lengths > 0, lengths, 1.0)


def _blocks(x: np.ndarray, known: int) -> list[np.ndarray]:
    size = max(1, BLOCK // known)
    return [x[start : start + size] for start in range(0, max(len(x), 1), size)]


def _votes(x: np.ndarray, known: np.ndarray, squares: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    near = np.argpartition(squares - x @ known.T, k - 1, axis=1)[:, :k]
    return targets[near].sum(axis=1)
