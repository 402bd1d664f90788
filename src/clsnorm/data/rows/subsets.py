"""Which training rows are used, and which of their labels are made wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from clsnorm.data.arguments import require_positive, require_share
from clsnorm.data.formats.faults import names_of
from clsnorm.data.rows.columns import Column, length, tally
from clsnorm.data.rows.selection import Selection
from clsnorm.data.rows.splits import draws, first_drawn, shuffled, strata, stratified_order
from clsnorm.errors import InputError

WHICH, WHAT = 20_031, 20_032  # streams of label noise, apart from those that draw the order and the subset


@dataclass(frozen=True)
class Subset:
    """A part of train, drawn from a seed. For one seed a larger subset holds the smaller.

    Args:
        size: Rows, stratified by class, or by decile for numbers; None: all.
        shots: Rows of each class; None: no such rule.
        seed: Of the draw.

    Raises:
        InputError: If a number is not positive, or if both rules are given.
    """

    size: int | None
    shots: int | None
    seed: int

    def __post_init__(self) -> None:
        given = {"max_train_examples": self.size, "shots_per_class": self.shots}
        require_positive({name: value for name, value in given.items() if value is not None})
        if self.size is not None and self.shots is not None:
            raise InputError(
                f"Expected data.max_train_examples or data.shots_per_class, but got both ({self.size}, {self.shots}). "
                "Set one of them to null"
            )

    @property
    def everything(self) -> bool:
        """Whether no rule leaves out a row."""
        return self.size is None and self.shots is None

    def rows(self, labels: Column, names: Sequence[str] | None, *, untrained: Collection[str] = ()) -> Selection:
        """Returns which rows of train are used.

        Args:
            labels: Class ids or values of train.
            names: Class names in the order of their ids; None for numbers.
            untrained: Classes that need no row.

        Raises:
            InputError: If a class has fewer rows than shots, naming it, or if there are more classes than rows.
        """
        total = length(labels)
        if self.shots is not None:
            return Selection.of(total, shots(labels, self.shots, self.seed, names or [], untrained=untrained))
        if self.size is None or self.size >= total:
            return Selection.everything(total)
        if names and self.size < (classes := np.count_nonzero(tally(labels))):
            raise InputError(
                f"Expected argument `data.max_train_examples` to be at least {classes}, a row of each class, but got "
                f"{self.size}"
            )
        return Selection.of(total, subset(labels, self.size, self.seed))


def subset(labels: Column, size: int, seed: int) -> np.ndarray:
    """Returns ``size`` row numbers, ascending: a stratified subset; for one seed a larger one holds the smaller."""
    return np.sort(stratified_order(strata(labels), seed, size=size))


def shots(
    labels: Column, count: int, seed: int, names: Sequence[str], *, untrained: Collection[str] = ()
) -> np.ndarray:
    """Returns ``count`` row numbers of each class, ascending; for one seed more shots hold the fewer.

    Of classes that are ``untrained`` it takes what there is.

    Raises:
        InputError: If another class has fewer rows, naming it.
    """
    sizes = dict(zip(names, tally(labels, len(names)).tolist(), strict=True))
    if short := [f"{name} ({size})" for name, size in sizes.items() if size < count and name not in untrained]:
        raise InputError(
            f"Expected at least data.shots_per_class={count} training rows of each class, but these have fewer: "
            f"{names_of(short)}. Ask for fewer shots"
        )
    return np.sort(first_drawn(labels, seed, most=np.full(len(names), count))["row"])


@dataclass(frozen=True)
class LabelNoise:
    """Exactly ``round(share * rows)`` training labels, each replaced by another class, all others equally likely.

    For one seed the labels made wrong by a smaller share are made wrong by a larger one too, and in the same way.

    Args:
        share: Of the labels, in [0, 1].
        seed: Of the draw.

    Raises:
        InputError: If ``share`` is out of range.
    """

    share: float
    seed: int

    def __post_init__(self) -> None:
        require_share("label_noise", self.share)

    def count(self, rows: int) -> int:
        """Returns how many of ``rows`` labels are replaced."""
        return round(self.share * rows)

    def applied(self, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Returns a copy of the class ids ``labels`` with the noise.

        Args:
            labels: Of the rows.
            classes: The ids to draw from, two or more, ascending; those of ``labels`` are among them.
        """
        rows = shuffled(len(labels), self.seed, WHICH)[: self.count(len(labels))]
        steps = 1 + draws(len(labels), self.seed, WHAT)[: len(rows)] % np.uint64(len(classes) - 1)
        noisy = labels.copy()
        places = np.searchsorted(classes, labels[rows]) + steps.astype(np.int64)
        noisy[rows] = classes[places % len(classes)]
        return noisy
