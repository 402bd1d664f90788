"""From the cells of the label column to numbers to predict, chunk by chunk."""

from __future__ import annotations

import numpy as np

from clsnorm.config.spelling import number, spell
from clsnorm.data.formats.faults import Faults, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.data.rows.labels import Coder
from clsnorm.errors import InputError

SMALL = 1e-3  # share of the spread that rounding errors may have: a correlation then changes by less than 1e-6
WHOLE = 2.0**53  # float64 holds all whole numbers below


class Values(Coder):
    """Numbers to predict, float32.

    Raises:
        InputError: If a label is not a finite number in float32, or if float32 merges different numbers.
    """

    dtype = np.float32

    def __init__(self) -> None:
        super().__init__()
        self._numbers: list[np.ndarray] = []  # float64
        self._large: set[str] = set()  # those that float64 may merge, too

    def finish(self) -> None:
        super().finish()
        exact = np.concatenate(self._numbers) if self._numbers else np.zeros(1)
        rounded = exact.astype(np.float32).astype(np.float64)
        merged = len(self._large) > np.count_nonzero(np.abs(np.unique(exact)) >= WHOLE)
        if merged or not _faithful(exact, rounded):
            small = np.count_nonzero(np.abs(np.unique(exact)) < WHOLE)
            before, after = small + len(self._large), len(np.unique(rounded))
            raise InputError(
                f"Expected numbers that float32 can tell apart in {names_of(self._files)}, but it turns {before} "
                f"different ones from {float(exact.min())!r} to {float(exact.max())!r} into {after}. Subtract a "
                "constant, such as the smallest one, from all of them"
            )

    def _refuse_faults(self) -> None:
        self._faults.refuse(
            "Expected a finite number to predict in each row",
            "Fix these rows, leave them out (data.drop_labels, if data=files), or set data.task=classification",
        )

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        numbers = np.array([number(spell(label)) for label in table.labels], np.float64)  # None becomes NaN
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        for row in np.flatnonzero(~np.isfinite(values)):  # float32 overflow included
            faults.add(table.lines[row], f"{table.labels[row]!r}")
        self._numbers.append(numbers)
        self._large |= {spell(table.labels[row]) for row in np.flatnonzero(np.abs(numbers) >= WHOLE)}
        return values


def _faithful(exact: np.ndarray, rounded: np.ndarray) -> bool:
    """Are rounding errors small against the spread of the numbers, with and without those that are far off?"""
    errors, spread = np.abs(exact - rounded), np.subtract(*np.quantile(exact, [0.75, 0.25]))
    typical = float(np.median(errors)) <= SMALL * spread or not spread
    return typical and float(np.sqrt(np.mean(errors**2))) <= SMALL * float(exact.std())
