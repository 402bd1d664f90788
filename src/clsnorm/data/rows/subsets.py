"""Which training rows are used, and which of their labels are replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from clsnorm.data.formats.faults import names_of
from clsnorm.data.rows.splits import draws, first_drawn, shuffled, strata, stratified_order
from clsnorm.errors import InputError, require_between, require_whole

WHICH, WHAT = 20_031, 20_032  # streams of label noise, apart from those of the order and the subset


@dataclass(frozen=True)
class Subset:
    """A subset of train, drawn from a seed. For one seed a larger subset contains the smaller.

    Args:
        size: Rows, stratified by class, or by decile for values; None, or more than exist: all.
        shots: Rows of each class; None: no such rule.
        seed: Of the draw.

    Raises:
        InputError: If a number is not a positive integer, or if both rules are given.
    """

    size: int | None
    shots: int | None
    seed: int

    def __post_init__(self) -> None:
        require_whole("data.max_train_examples", self.size, least=1, or_null=True)
        require_whole("data.shots_per_class", self.shots, least=1, or_null=True)
        require_whole("seeds.subset", self.seed, least=0)
        if self.size is not None and self.shots is not None:
            raise InputError(
                f"Expected data.max_train_examples or data.shots_per_class, but got both ({self.size}, {self.shots}). "
                "Set one of them to null"
            )

    @property
    def everything(self) -> bool:
        """Whether no rule leaves out a row."""
        return self.size is None and self.shots is None

    def rows(self, labels: np.ndarray, names: Sequence[str] | None, *, untrained: Collection[str] = ()) -> np.ndarray:
        """Returns the rows of train that are used, ascending.

        Args:
            labels: Class ids or values of train.
            names: Class names in the order of their ids; None for regression.
            untrained: Classes that need no row.

        Raises:
            InputError: If a class has fewer rows than shots, naming it, or if there are more classes than rows.
        """
        if self.shots is not None:
            return shots(labels, self.shots, self.seed, names or [], untrained=untrained)
        if self.size is None or self.size >= len(labels):
            return np.arange(len(labels))
        if names and self.size < (classes := np.count_nonzero(np.bincount(labels))):
            raise InputError(
                f"Expected argument `data.max_train_examples` to be at least {classes}, a row of each class, but got "
                f"{self.size}"
            )
        return subset(labels, self.size, self.seed)


def subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns ``size`` stratified row numbers, ascending; for one seed a larger subset contains the smaller."""
    return np.sort(stratified_order(strata(labels), seed, size=size))


def shots(
    labels: np.ndarray, count: int, seed: int, names: Sequence[str], *, untrained: Collection[str] = ()
) -> np.ndarray:
    """Returns ``count`` row numbers of each class, ascending; for one seed more shots contain the fewer.

    Of ``untrained`` classes it returns as many as exist.

    Raises:
        InputError: If another class has fewer rows, naming it.
    """
    sizes = np.bincount(labels, minlength=len(names))
    short = [
        f"{name} ({size})" for name, size in zip(names, sizes, strict=True) if size < count and name not in untrained
    ]
    if short:
        raise InputError(
            f"Expected at least data.shots_per_class={count} training rows of each class, but these have fewer: "
            f"{names_of(short)}. Set fewer shots"
        )
    return np.sort(first_drawn(labels, draws(len(labels), seed), np.minimum(sizes, count))[0])


@dataclass(frozen=True)
class LabelNoise:
    """Replaces exactly ``round(share * rows)`` training labels by another class, all others equally likely.

    For one seed a larger share replaces the same labels as a smaller one, in the same way, and more.

    Args:
        share: Of the labels, in [0, 1].
        seed: Of the draw.

    Raises:
        InputError: If ``share`` is out of range.
    """

    share: float
    seed: int

    def __post_init__(self) -> None:
        require_between("data.label_noise", self.share, 0, 1)
        require_whole("seeds.noise", self.seed, least=0)

    def count(self, rows: int) -> int:
        """Returns how many of ``rows`` labels are replaced."""
        return round(self.share * rows)

    def applied(self, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Returns a noisy copy of the class ids ``labels``.

        Args:
            labels: Class ids.
            classes: The ids to draw from, ascending: two or more, those in ``labels`` among them.
        """
        rows = shuffled(len(labels), self.seed, WHICH)[: self.count(len(labels))]
        steps = 1 + draws(len(labels), self.seed, WHAT)[: len(rows)] % np.uint64(len(classes) - 1)
        noisy = labels.copy()
        places = np.searchsorted(classes, labels[rows]) + steps.astype(np.int64)
        noisy[rows] = classes[places % len(classes)]
        return noisy
