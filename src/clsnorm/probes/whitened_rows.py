"""Rows in coordinates of unit covariance, in which a linear probe is solved whatever map came before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Spread of a column, as a share of the largest one, up to which it counts as constant; also of a direction of the
# standardized columns. The resolution of float32: what is smaller is lost in any map that mixes columns.
CONSTANT = 1e-7


@dataclass(frozen=True)
class WhitenedRows:
    """``x = location + t @ pinv(from_rows)``: rows ``x`` ``(n, d)`` as ``t`` ``(n, r)`` of mean 0 and unit covariance.

    ``r`` is the rank of the centred ``x``; constant columns and exact linear relations drop out. The coordinates are
    the principal axes, in order. They are computed from the QR decomposition of the standardized columns, so that a
    small column is as precise as a large one.

    Attributes:
        rows: ``t``; its covariance has the divisor ``n``.
        variances: Of ``x`` along each axis, ``(r,)``. A linear probe with weights ``a`` ``(r, k)`` on ``t`` has weights
            ``from_rows @ a`` on ``x``, of squared length ``sum_j ||a_j||^2 / variances_j``.
        location: Mean of ``x``, ``(d,)``.
        from_rows: ``(d, r)``: ``t = (x - location) @ from_rows``.
    """

    rows: np.ndarray
    variances: np.ndarray
    location: np.ndarray
    from_rows: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> WhitenedRows:
        """Returns the whitened rows of ``x``, float64 ``(n, d)``, ``n`` at least 1."""
        location = x.mean(axis=0)
        centred = x - location
        spread = centred.std(axis=0)
        varies = spread > CONSTANT * max(spread.max(initial=0.0), float(np.abs(location).max(initial=0.0)) * CONSTANT)
        scale = np.where(varies, spread, 1.0)
        triangle = np.linalg.qr(np.where(varies, centred, 0.0) / scale, mode="r") / np.sqrt(len(x))
        _, singular, axes = np.linalg.svd(triangle, full_matrices=False)
        axes = axes[singular > CONSTANT * singular.max(initial=0.0)].T
        singular = singular[: axes.shape[1]]
        span, _ = np.linalg.qr(axes * scale[:, None])  # of the centred rows: weights outside it have no effect
        first = span @ (span.T @ (axes / singular / scale[:, None]))
        left, inverse, _ = np.linalg.svd(first, full_matrices=False)
        from_rows = (left * inverse)[:, ::-1]
        return cls(centred @ from_rows, inverse[::-1] ** -2.0, location, from_rows)

    def take(self, x: np.ndarray) -> np.ndarray:
        """Returns other rows ``x`` ``(m, d)`` in the same coordinates, ``(m, r)``."""
        return (x - self.location) @ self.from_rows
