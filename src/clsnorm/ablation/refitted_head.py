"""The same ablation with a new linear head: what the other dimensions could tell if the head were trained without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clsnorm.ablation.effects import Readout
from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.ablation.null_comparison import compared
from clsnorm.errors import InputError
from clsnorm.probes.logistic_regression import CONVERGED, LogisticProblem
from clsnorm.probes.whitened_rows import WhitenedRows

PENALTY = 0.01  # on the variance of the logits over the training rows, summed over classes
ROUNDING = 1e-12  # variance along an axis, as a share of the largest: that of an error of 1e-6
MEASURES = ("score", "loss")
Array = np.ndarray
Change = Callable[[Tensor, Array], Tensor]  # from embeddings and a set to ablated embeddings


class RefittedHead:
    """Fits a logistic regression on ablated training embeddings, and measures it on the same ablation of other rows.

    The penalty is on the variance of the logits, so no invertible affine map of ``h`` changes the fit: the scale of a
    dimension has no effect, only what it tells. An affine normalizer that loses nothing
    would have no effect, so there is none.

    Args:
        train: Rows to fit.
        readout: Of the rows to measure.
        classes: Number of classes.
        on_train: Ablates training rows.
        on_other: Ablates the rows to measure.

    Raises:
        InputError: If a class has no row in ``train``.
    """

    def __init__(
        self, train: EncodedRows, readout: Readout, classes: int, *, on_train: Change, on_other: Change
    ) -> None:
        self._h, self._labels = train.h, train.labels.cpu().numpy()
        self._readout, self._classes = readout, classes
        self._on_train, self._on_other = on_train, on_other
        if missing := classes - len(np.unique(self._labels)):
            raise InputError(
                f"Expected rows of each class for --refit_sets, but {missing} of {classes} have none among the "
                f"{len(self._labels)} training rows. Raise --rows, or leave out --refit_sets"
            )
        self.gap = 0.0  # the largest duality gap so far, as a share of the loss
        self.unconverged = 0

    def measure(self, dims: Array) -> dict[str, float]:
        """Returns ``score`` and ``loss`` of a head that was fitted without ``dims``."""
        whitened = _without_rounding(WhitenedRows.of(_float64(self._on_train(self._h, dims))))
        fit = LogisticProblem(whitened, self._labels, self._classes, invariant=True).solve(PENALTY)
        self.gap = max(self.gap, fit.certificate.gap)
        self.unconverged += fit.certificate.verdict != CONVERGED
        other = whitened.take(_float64(self._on_other(self._readout.rows.h, dims)))
        answers = self._readout.answers(torch.from_numpy(fit.logits(other)).float().to(self._h.device))
        return {"score": answers.score, "loss": float(answers.losses.double().mean())}

    def compare(self, dims: Array, others: list[Array]) -> dict[str, Any]:
        """Returns the effect of ablating ``dims`` before the fit, and where it lies among those of random sets."""
        whole = self.measure(np.array([], dtype=np.int64))
        effect, *null = [self._effect(whole, self.measure(chosen)) for chosen in (dims, *others)]
        return {
            "unchanged": whole,
            "effect": effect,
            "sets": len(others),
            "null": {name: compared(effect[name], [other[name] for other in null]) for name in MEASURES},
            "penalty": PENALTY,
            "largest_gap": self.gap,
            "unconverged": self.unconverged,
        }

    def _effect(self, whole: dict[str, float], found: dict[str, float]) -> dict[str, float]:
        return {"score": self._readout.sign * (whole["score"] - found["score"]), "loss": found["loss"] - whole["loss"]}


def _without_rounding(whitened: WhitenedRows) -> WhitenedRows:
    """Drops axes that are rounding of float32: behind a layer norm, each dimension is a function of the others."""
    kept = whitened.variances > ROUNDING * whitened.variances.max(initial=0.0)
    return replace(
        whitened,
        rows=whitened.rows[:, kept],
        variances=whitened.variances[kept],
        from_rows=whitened.from_rows[:, kept],
    )


def _float64(h: Tensor) -> Array:
    return np.asarray(h.double().cpu().numpy())
