"""Detects exploding gradients: rules on the logarithms of a series of norms, one per step."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from clsnorm.errors import is_number, refuse, require_positive, require_whole

ENOUGH = 32  # steps after which level and spread are meaningful
BLOCK = 16  # steps whose mean is one point of the fitted growth
LOW, LOWER = 1 / 3, 1 / 12  # quantiles below which two thirds of a window may burst without changing much
NORMAL_LOW, NORMAL_LOWER = -0.4307272992954576, -1.3829941271006372  # these quantiles of the standard normal
BURST_DEVIATIONS, BURST_FACTOR, PAST_FACTOR = 2.5, 10.0, 100.0
BURST_SHARE = 12 / 128
GROWTH_ERRORS, GROWTH_MARGIN = 6.0, 1.5  # in standard errors of the fitted growth
MOST_MEMORY = 0.8  # a curved trend correlates neighbours, too
SMALLEST = 1e-300  # below the square of any positive float32; zeros have no logarithm


@dataclass(frozen=True)
class Finding:
    """A rule that a norm has broken, and the number that shows it: the norm, or for ``growth`` the factor."""

    rule: str
    value: float


class Explosion:
    r"""Judges each norm of a series against its recent window, in logarithms: healthy norms are close to lognormal.

    Level ``c`` and spread ``s`` of the last ``window`` log norms are those of the normal distribution with the same
    33rd and 8th percentile. Bursts are above these percentiles, so they hardly change ``c`` and ``s``. The rules:

    - ``non_finite``: a norm is not finite. It enters no window.
    - ``spike``: one norm is above ``c + deviations * s`` and above ten times the level. Of consecutive spikes the first
      is reported. A spike is no explosion yet: with heavy tails it may be healthy.
    - ``burst``: of 128 steps (or all so far), 12 are above ``c + 2.5 s`` and above ten times the level, in a row or
      not; in the older half of the window above 100 times, as healthy norms fall from the first steps on. So a burst
      in the first steps is found in hindsight.
    - ``growth``: a line is fitted to the means of 16 log norms, over the last 64, 128, 256, ... steps and over all.
      Its rise, less one and a half standard errors, is at least ``log(growth)``, and the rise is at least six standard
      errors. The errors allow for the correlation of neighbouring steps. Then the fit starts again.

    Nothing but ``non_finite`` is reported in the first 32 steps (or half a window, if that is fewer).

    Args:
        window: Steps that define the usual level.
        deviations: Spreads above the level that are a spike.
        growth: Factor from the first to the last fitted step that is an explosion.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, *, window: int, deviations: float, growth: float) -> None:
        require_whole("window", window, least=4, advice="It counts steps: a usual window is 128")
        require_positive("deviations", deviations, advice="A usual number is 8")
        require_growth(growth)
        self._logs: deque[float] = deque(maxlen=window)
        self._sorted: list[float] = []
        self._enough = min(ENOUGH, window // 2)
        self._burst = max(3, round(window * BURST_SHARE))
        self._deviations, self._growth = deviations, growth
        self._spiking = self._bursting = False
        self._block: list[float] = []
        self._means: list[float] = []  # of blocks

    def sees(self, value: float) -> list[Finding]:
        """Adds the next norm and returns the rules that it breaks."""
        if not math.isfinite(value):
            return [Finding("non_finite", value)]
        if value < SMALLEST:
            return []
        self._add(math.log(value))
        if len(self._logs) < self._enough:
            return []
        level, spread = self._level()
        found = [*self._spike(value, level, spread), *self._bursts(level, spread)]
        if not self._block and (factor := self._fitted_growth(spread)):
            self._means = []
            found.append(Finding("growth", factor))
        return found

    def _add(self, log: float) -> None:
        if len(self._logs) == self._logs.maxlen:
            del self._sorted[bisect_left(self._sorted, self._logs[0])]
        self._logs.append(log)
        insort(self._sorted, log)
        self._block.append(log)
        if len(self._block) == BLOCK:
            self._means.append(sum(self._block) / BLOCK)
            self._block = []

    def _level(self) -> tuple[float, float]:
        """Returns level and spread of the window."""
        low, lower = _quantile(self._sorted, LOW), _quantile(self._sorted, LOWER)
        spread = (low - lower) / (NORMAL_LOW - NORMAL_LOWER)
        return low - NORMAL_LOW * spread, spread

    def _spike(self, value: float, level: float, spread: float) -> Iterable[Finding]:
        limit = level + max(self._deviations * spread, math.log(BURST_FACTOR))
        before, self._spiking = self._spiking, math.log(value) > limit
        return [Finding("spike", value)] if self._spiking and not before else []

    def _bursts(self, level: float, spread: float) -> Iterable[Finding]:
        recent, past = (
            level + max(BURST_DEVIATIONS * spread, math.log(factor)) for factor in (BURST_FACTOR, PAST_FACTOR)
        )
        count = len(self._sorted) - bisect_right(self._sorted, recent)
        if count >= self._burst:
            half = len(self._logs) // 2
            count = sum(log > (past if place < half else recent) for place, log in enumerate(self._logs))
        before, self._bursting = self._bursting, count >= (self._burst / 2 if self._bursting else self._burst)
        return [Finding("burst", math.exp(self._sorted[-1]))] if self._bursting and not before else []

    def _fitted_growth(self, spread: float) -> float:
        """Returns the factor of the first growth that breaks the rule, or 0."""
        blocks = len(self._means)
        sizes = [4 << power for power in range(32) if 4 << power < blocks]
        memory = min(max(_autocorrelation(self._logs), 0.0), MOST_MEMORY)
        noise = spread * math.sqrt((1 + memory) / (1 - memory) / BLOCK)  # of the mean of a block
        for size in [*sizes, blocks] if blocks >= 4 else []:
            rise, error = rise_of(self._means[-size:], noise)
            if rise - GROWTH_MARGIN * error > math.log(self._growth) and rise > GROWTH_ERRORS * error:
                return math.exp(min(rise, 700.0))
        return 0.0

    def state(self) -> dict[str, Any]:
        """Returns the state, as plain numbers and lists."""
        kept = {"growth": self._growth, "spiking": self._spiking, "bursting": self._bursting}
        return kept | {"logs": list(self._logs), "block": list(self._block), "means": list(self._means)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the value of `state`."""
        self._spiking, self._bursting = state["spiking"], state["bursting"]
        self._logs.extend(state["logs"])
        self._sorted = sorted(self._logs)
        self._block, self._means = list(state["block"]), list(state["means"])


class HighLevel:
    """A series is large throughout if the median of its last 16 numbers is above a limit; reported once in a run.

    Args:
        limit: The limit; infinite: no such rule.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._recent: deque[float] = deque(maxlen=BLOCK)
        self._told = False

    def sees(self, value: float) -> list[Finding]:
        """Adds the next number and returns the rule ``level`` if it is broken for the first time."""
        if not math.isfinite(value):
            return []
        self._recent.append(value)
        if self._told or len(self._recent) < BLOCK or (middle := median(self._recent)) <= self._limit:
            return []
        self._told = True
        return [Finding("level", middle)]

    def state(self) -> dict[str, Any]:
        """Returns the state, as plain numbers and lists."""
        return {"limit": self._limit, "recent": list(self._recent), "told": self._told}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the value of `state`."""
        self._limit, self._told = state["limit"], state["told"]
        self._recent.extend(state["recent"])


def require_growth(growth: float) -> None:
    """Raises `InputError` unless ``growth`` is a factor above 1."""
    if not is_number(growth) or not 1 < growth < math.inf:
        refuse("growth", "a factor above 1", growth, "A usual factor is 4")


def rise_of(means: Sequence[float], noise: float) -> tuple[float, float]:
    """Returns the rise of a fitted line from the first to the last of equally spaced numbers, and its standard error.

    Args:
        means: At least three numbers.
        noise: Standard deviation of each number, if the scatter around the line is not larger.
    """
    values = np.asarray(means, dtype=np.float64)
    places = np.arange(len(values)) - (len(values) - 1) / 2
    slope = float(places @ values / (places @ places))
    rest = values - values.mean() - slope * places
    variance = max(noise**2, float(rest @ rest) / (len(values) - 2))
    length = len(values) - 1
    return slope * length, length * math.sqrt(variance / float(places @ places))


def _autocorrelation(values: Iterable[float]) -> float:
    """Returns the correlation of neighbours around a fitted line; 0 if all values are on it."""
    rest = np.fromiter(values, dtype=np.float64)
    places = np.arange(len(rest)) - (len(rest) - 1) / 2
    rest -= rest.mean()
    rest -= places * (places @ rest) / (places @ places)
    square = float(rest @ rest)
    return float(rest[1:] @ rest[:-1]) / square if square else 0.0


def _quantile(ordered: list[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    above = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (place - low) * (above - ordered[low])
