"""One family of claims per report: p values adjusted so that a report with any false claim is rarer than 5 %."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def holm(p: Array) -> Array:
    """Returns Holm's adjusted p values (1979): valid however the tests depend on each other.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def claims(difference: Array, equivalence: Array) -> tuple[Array, Array]:
    """Returns both kinds of p values adjusted as one family, by Shaffer's step-down (1986).

    "No difference at all" and "a difference of the margin or more" cannot both be true. So of the 2 m hypotheses of m
    comparisons at most m are true, and at each step p is multiplied by the number of comparisons of which a hypothesis
    is left, instead of by the number of hypotheses: claims of equivalence come at no price.

    Args:
        difference: ``(m,)``, p values of "the difference is 0". NaN, as of a comparison without seeds, stays NaN.
        equivalence: ``(m,)``, p values of "it is the margin or more, up or down".

    Example:
        >>> claims(np.array([0.02, 0.5]), np.array([0.9, 0.01]))
        (array([0.04, 1.  ]), array([1.  , 0.02]))
    """
    both = np.column_stack([difference, equivalence]).astype(np.float64)
    adjusted, open_, running = np.full(both.shape, np.nan), np.isfinite(both), 0.0
    left: Array = np.asarray(open_.any(axis=1))
    for place in np.argsort(both, axis=None, kind="stable"):
        row, column = divmod(int(place), 2)
        if not np.isfinite(both[row, column]):
            break
        running = max(running, min(1.0, both[row, column] * left.sum()))
        adjusted[row, column] = running
        open_[row, column] = False
        left[row] = bool(open_[row].any())
    return adjusted[:, 0], adjusted[:, 1]
