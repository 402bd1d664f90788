"""Random sets of dimensions that an ablation of outlier dimensions is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clsnorm.errors import InputError

NEAREST = 20  # dimensions from which one that matches is drawn
ATTEMPTS = 10
Array = np.ndarray
NULLS = {
    "size": "as many other dimensions, each with the same probability",
    "variance": f"as many other dimensions; for each outlier one of the {NEAREST} nearest in variance",
    "head": f"as many other dimensions; for each outlier one of the {NEAREST} nearest in the head's weights",
    "energy": "other dimensions in random order, until as much of h has changed, in mean square",
}


def sets_of_equal_size(dims: Array, dim: int, *, count: int, draw: np.random.Generator) -> list[Array]:
    """Draws ``count`` different sets of ``len(dims)`` dimensions that are not in ``dims``, uniformly.

    Fewer, if there are not so many.

    Raises:
        InputError: There are not enough other dimensions.
    """
    others = np.setdiff1d(np.arange(dim), dims)
    if len(others) < len(dims):
        raise InputError(
            f"Expected fewer than half of the {dim} dimensions to be outliers, to compare them with others, but got "
            f"{len(dims)}"
        )
    return _different(lambda: draw.choice(others, len(dims), replace=False), count)


def _different(draw_set: Callable[[], Array], count: int) -> list[Array]:
    """Draws until there are ``count`` different sets, or `ATTEMPTS` times as many draws gave no more."""
    found: dict[tuple[int, ...], Array] = {}
    for _ in range(ATTEMPTS * count):
        dims = np.sort(draw_set())
        found.setdefault(tuple(dims.tolist()), dims)
        if len(found) == count:
            break
    return list(found.values())


def matched_sets(dims: Array, feature: Array, *, count: int, draw: np.random.Generator) -> list[Array]:
    """Draws ``count`` different sets: for each of ``dims``, in random order, one of the `NEAREST` unused others.

    Fewer, if there are not so many: `NEAREST` for a single dimension. Near in ``feature`` means a small difference of
    logarithms, as variances and norms differ by factors.

    Args:
        dims: The set to match.
        feature: What to match, ``(d,)``, not negative.
        count: Number of sets.
        draw: The random generator.
    """
    others = np.setdiff1d(np.arange(len(feature)), dims)
    logs = np.log(np.maximum(feature, 1e-12 * feature.max() + 1e-300))
    ranked = {i: others[np.argsort(np.abs(logs[others] - logs[i]), kind="stable")] for i in dims.tolist()}

    def matched() -> Array:
        used: set[int] = set()
        for i in draw.permutation(dims).tolist():
            near = [j for j in ranked[i].tolist() if j not in used][:NEAREST]
            used.add(near[draw.integers(len(near))])
        return np.fromiter(used, dtype=np.int64)

    return _different(matched, count)


def sets_of_equal_energy(
    dims: Array, dim: int, removed: Callable[[Array], float], *, count: int, draw: np.random.Generator
) -> list[Array]:
    """Draws ``count`` different sets: of a random order the first dimensions that remove as much as ``dims`` do.

    The number of dimensions is found by bisection, so it is the smallest one if more dimensions never remove less.
    All others are taken if even these remove less.

    Args:
        dims: The set to match.
        dim: Number of dimensions.
        removed: From a set to the mean square of the change of ``h``.
        count: Number of sets.
        draw: The random generator.
    """
    target, others = removed(dims), np.setdiff1d(np.arange(dim), dims)

    def enough() -> Array:
        order = draw.permutation(others)
        low, high = 0, len(order)  # of `low` dimensions too little is removed
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if removed(order[:middle]) >= target else (middle, high)
        return order[:high]

    if removed(others) < target:
        return [others]
    return _different(enough, count)
