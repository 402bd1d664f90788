"""Linear equations of a map that is known by its products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Map = Callable[[np.ndarray], np.ndarray]


def conjugate_gradients(
    matrix: Map,
    target: np.ndarray,
    ease: Map,
    *,
    accuracy: float,
    most: int = 500,
) -> tuple[np.ndarray, bool]:
    """Returns ``x``, and whether ``||matrix(x) - target|| <= accuracy ||target||`` was reached in ``most`` products.

    Args:
        matrix: A symmetric, positive semidefinite map.
        target: In its range.
        ease: An approximate inverse of the map.
        accuracy: Of the residual.
        most: Products with the map.
    """
    x, left = np.zeros_like(target), target.copy()
    eased = ease(left)
    direction, product = eased, float((left * eased).sum())
    goal = accuracy * np.sqrt((target**2).sum())
    for _ in range(most):
        if np.sqrt((left**2).sum()) <= goal:
            return x, True
        curved = matrix(direction)
        curvature = float((direction * curved).sum())
        if curvature <= 0:  # rounding
            break
        x = x + product / curvature * direction
        left = left - product / curvature * curved
        eased = ease(left)
        product, before = float((left * eased).sum()), product
        if product <= 0:
            break
        direction = eased + product / before * direction
    return x, bool(np.sqrt((left**2).sum()) <= goal)
