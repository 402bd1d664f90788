"""The arms of a study: normalizers fitted to rows of features, never to the rows that are predicted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from clsnorm.config import instantiate
from clsnorm.normalizers import Normalizer

LEAK = "+leak"  # ends the name of an arm that is fitted to train and report together
SETTLED = (
    1e-6  # change of the map in one pass, as a share of its largest value, at which running statistics are settled
)
PASSES = 300
INVERTIBLE = 1e-5  # smallest singular value of an invertible map, as a share of the largest; maps are float32


@dataclass(frozen=True)
class Arm:
    """A normalizer as an option describes it.

    Attributes:
        name: The option, plus `LEAK` if the normalizer also sees the rows of report.
        node: The option's content.
        norm: The layer norm that outputs the features; None if none does.
        leaks: Whether it is fitted to train and report together.
    """

    name: str
    node: Mapping[str, Any]
    norm: nn.LayerNorm | None
    leaks: bool = False

    def fit(self, rows: np.ndarray, *, seed: int = 0) -> FittedArm:
        """Returns the normalizer fitted to ``rows`` ``(n, d)``, float32.

        A calibrated one is calibrated on them. One with running statistics takes those of all ``rows``, as
        `Normalizer.settle` does; what is learned stays at its start. The global random state does not change.

        Raises:
            InputError: If it cannot be built for these features.
        """
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            normalizer: Normalizer = instantiate(self._for_one_batch(), "normalizer", rows.shape[1])
            normalizer.take_encoder_norm(copy.deepcopy(self.norm))
            h = torch.from_numpy(rows)
            if normalizer.calibration is None:
                _settle(normalizer, h)
            else:
                accumulator = normalizer.calibration(rows.shape[1])
                accumulator.update(h)
                normalizer.calibrate(accumulator)
        return FittedArm(normalizer.eval())

    def _for_one_batch(self) -> dict[str, Any]:
        """Returns the node; the running statistics of one batch of all rows are those of the batch."""
        return {**self.node, "momentum": 1.0} if "momentum" in self.node else dict(self.node)


def _settle(normalizer: Normalizer, h: torch.Tensor) -> None:
    """Lets running statistics see ``h`` until the map no longer changes: averages forget their start only slowly."""
    before = None
    for _ in range(PASSES):
        normalizer.settle(h)
        found = normalizer.eval()(h[:64].double())
        if before is not None and (found - before).abs().max() <= SETTLED * found.abs().max():
            return
        before = found


class FittedArm:
    """A fitted normalizer as a function of rows.

    Args:
        normalizer: In evaluation mode.
    """

    def __init__(self, normalizer: Normalizer) -> None:
        self.normalizer = normalizer

    @torch.no_grad()
    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns the normalized rows, float64 ``(n, d)``."""
        h = torch.from_numpy(rows).double()
        if self.normalizer.changes_encoder:
            matrix, shift = self._affine() or (torch.ones(h.shape[1]), torch.zeros(h.shape[1]))
            return (h * matrix + shift if matrix.ndim == 1 else h @ matrix.T + shift).numpy()
        return self.normalizer(h).numpy()

    def is_invertible(self) -> bool:
        """Returns whether the map is affine and can be undone."""
        found = self._affine()
        if found is None:
            return False
        matrix = found[0].double()
        values = matrix.abs() if matrix.ndim == 1 else torch.linalg.svdvals(matrix)
        return bool(values.min() > INVERTIBLE * values.max())

    def _affine(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        with torch.no_grad():
            return self.normalizer.start_affine()
