"""What a search varies: the intervals among a sweep's overrides, and the points that all its combinations try first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override

from clsnorm.errors import InputError

PLACES = 3  # significant digits of a searched number: names and tables stay readable
SEEDS = "seed"  # values of `seed` and `seeds.…` repeat a trial, and are not searched

Value = float | int


@dataclass(frozen=True)
class Interval:
    """The values that a key may have.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Whether equal ratios count as equal distances.
        whole: Whether only whole numbers are meant.
    """

    low: Value
    high: Value
    log: bool
    whole: bool

    def at(self, share: float) -> Value:
        """Returns the value at a share in [0, 1] of the way from ``low`` to ``high``.

        Example:
            >>> Interval(1e-5, 1e-3, log=True, whole=False).at(0.5)
            0.0001
        """
        if self.log:
            return self.rounded(self.low * (self.high / self.low) ** share)
        return self.rounded(self.low + (self.high - self.low) * share)

    def rounded(self, value: float) -> Value:
        """Returns a value of this interval near ``value``: a whole number, or one of few digits."""
        near = round(value) if self.whole else float(f"{value:.{PLACES}g}")
        return min(self.high, max(self.low, near))

    def __str__(self) -> str:
        ends = f"interval({self.low:g}, {self.high:g})"
        ends = f"int({ends})" if self.whole else ends
        return f"tag(log, {ends})" if self.log else ends


class SearchSpace:
    """The overrides of a search, sorted by what is done with them.

    Intervals are searched. Each combination of listed values is searched separately, but listed seeds repeat each
    trial, whose score is the mean over them.

    Args:
        overrides: Of the sweep, the later of one key counts.

    Attributes:
        intervals: By key.
        combinations: Overrides of each combination, those that all share included.
        repeats: Overrides of each run of a trial.
        varied: Which keys differ between combinations.

    Raises:
        InputError: If nothing is searched, or an interval is empty.
    """

    def __init__(self, overrides: Sequence[Override]) -> None:
        last = {override.get_key_element(): override for override in overrides}
        searched = {key: one for key, one in last.items() if isinstance(one.value(), IntervalSweep)}
        self.intervals: dict[str, Interval] = {key: _interval(key, one.value()) for key, one in searched.items()}
        if not self.intervals:
            raise InputError(
                "Expected hydra/sweeper=optuna to have something to search, but no value is an interval. Give one, "
                "such as 'optimizer.lr=tag(log,interval(1e-5,1e-3))'"
            )
        rest = {key: words_listed(one) for key, one in last.items() if key not in self.intervals}
        seeds = {key: words for key, words in rest.items() if key == SEEDS or key.startswith("seeds.")}
        others = {key: words for key, words in rest.items() if key not in seeds}
        self.varied = [key for key, words in others.items() if len(words) > 1]
        self.combinations = list(itertools.product(*others.values()))
        self.repeats = list(itertools.product(*seeds.values()))

    def label(self, combination: Sequence[str]) -> str:
        """Returns what tells a combination from the others; ``all`` if there is one only."""
        return " ".join(word for word in combination if word.partition("=")[0] in self.varied) or "all"

    def early(self, number: int) -> dict[str, Value]:
        """Returns the values of an early trial: number ``number``, from 0, of a Halton sequence.

        They fill the intervals evenly, whatever their number, and are the same for all combinations.
        """
        from scipy.stats import qmc

        shares = qmc.Halton(len(self.intervals), scramble=False).random(number + 2)[-1]  # the first one is a corner
        return {key: one.at(float(share)) for (key, one), share in zip(self.intervals.items(), shares, strict=True)}


def words_of(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Returns overrides of ``values``."""
    return tuple(f"{key}={value!r}" for key, value in values.items())


def words_listed(override: Override) -> list[str]:
    """Returns an override for each listed value."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _interval(key: str, given: Any) -> Interval:
    low, high, log = given.start, given.end, "log" in given.tags
    whole = isinstance(low, int) and isinstance(high, int)
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        rule = "an interval of positive numbers" if log else "an interval"
        raise InputError(f"Expected {key} to be {rule} from a smaller to a larger number, but got {low:g} to {high:g}")
    return Interval(low, high, log, whole)
