"""Detects exploding and vanishing gradients: rules on a series of numbers, one per step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from statistics import median
from typing import Any

from clsnorm.errors import require_positive, require_probability, require_whole

ENOUGH = 16  # numbers after which median and deviation are meaningful
LEAST_FACTOR = 2.0  # times the median, as the MAD of a norm that hardly varies is near zero
LASTING = 3  # numbers in a row that are more than a spike
TOTAL = "grad/parameters/total"


class Verdict(Enum):
    """The verdict on a number: usual, an event, or an event that may end training."""

    USUAL = "usual"
    REPORTED = "reported"
    DECISIVE = "decisive"


class Explosion:
    """A number explodes if it is not finite, or far above the previous ``window`` finite numbers.

    Far above means above ``median + deviations * MAD``, where MAD is the median absolute deviation, and above
    `LEAST_FACTOR` medians. Finite numbers are judged after the first `ENOUGH`, or after half a window if that is fewer.
    All of them enter the window, so that a lasting shift becomes the new normal.

    Consecutive numbers that explode are one burst. It is reported with its first number, and again, as decisive, with
    number `LASTING`: a spike is over by then. A number that is not finite is always reported, as decisive.

    Args:
        window: How many numbers are remembered.
        deviations: Median absolute deviations above the median that count as an explosion.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, *, window: int, deviations: float) -> None:
        require_whole("window", window, least=4, advice="It counts steps: a usual window is 128")
        require_positive("deviations", deviations, advice="A usual number is 6")
        self._seen: deque[float] = deque(maxlen=window)
        self._enough = min(ENOUGH, window // 2)
        self._deviations = deviations
        self._burst = 0  # numbers so far

    def sees(self, value: float) -> Verdict:
        """Adds the next number and returns the verdict on it."""
        self._burst = self._burst + 1 if self._explodes(value) else 0
        if not math.isfinite(value):
            return Verdict.DECISIVE
        self._seen.append(value)
        return {1: Verdict.REPORTED, LASTING: Verdict.DECISIVE}.get(self._burst, Verdict.USUAL)

    def _explodes(self, value: float) -> bool:
        return not math.isfinite(value) or (len(self._seen) >= self._enough and value > self._limit())

    def _limit(self) -> float:
        middle = median(self._seen)
        deviation = median(abs(value - middle) for value in self._seen)
        return max(middle + self._deviations * deviation, LEAST_FACTOR * middle)

    def state(self) -> dict[str, Any]:
        """Returns the state, as plain numbers and lists."""
        return {"seen": list(self._seen), "burst": self._burst}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the value of `state`."""
        self._seen.extend(state["seen"])
        self._burst = state["burst"]


class Vanishing:
    """A number vanishes if it is small ``window`` times in a row; reported once in a run.

    Small means below ``share`` of the median of the first ``window`` numbers, or below ``floor``, so that numbers that
    are small from the start are reported, too.

    Args:
        window: How many numbers are the reference, and how many must be small.
        share: A number is small below this share of the reference; 0: no comparison with the first numbers.
        floor: A number below it is small, whatever the reference.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, *, window: int, share: float, floor: float) -> None:
        require_whole("window", window, least=1)
        require_probability("share", share)
        self._window, self._share, self._floor = window, share, floor
        self._first: list[float] = []
        self._small = 0
        self._told = False

    def sees(self, value: float) -> bool:
        """Adds the next number and returns whether it has vanished with this one."""
        if not math.isfinite(value):
            return False
        limit = self._floor
        if len(self._first) < self._window:
            self._first.append(value)
        else:
            limit = max(limit, self._share * median(self._first))
        self._small = self._small + 1 if value < limit else 0
        vanished = self._small >= self._window and not self._told
        self._told = self._told or vanished
        return vanished

    def state(self) -> dict[str, Any]:
        """Returns the state, as plain numbers and lists."""
        return {"first": list(self._first), "small": self._small, "told": self._told}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the value of `state`."""
        self._first, self._small, self._told = list(state["first"]), state["small"], state["told"]


class GradientAlarms:
    """The rules of a run: at [CLS] on the largest norm of each step, for the parameters on the logged numbers.

    A gradient vanishes if ``grad/depth/bottom_to_top`` stays below a hundredth of its first values or below 1e-4, or
    ``grad/depth/bottom`` below 1e-8. The latter is not compared with its first values: the gradients of all layers fall
    with the loss, and a run that has converged has not failed. A vanishing gradient is not yet a failed run either.

    Args:
        window: As in `Explosion`.
        deviations: As in `Explosion`.

    Raises:
        InputError: If an argument is out of range.
    """

    kinds = ("explosion", "vanishing")

    def __init__(self, *, window: int, deviations: float) -> None:
        self._examples, self._total = (Explosion(window=window, deviations=deviations) for _ in range(2))
        self._vanishing = {
            "grad/depth/bottom_to_top": Vanishing(window=10, share=0.01, floor=1e-4),
            "grad/depth/bottom": Vanishing(window=10, share=0.0, floor=1e-8),
        }

    def of_examples(self, place: str, largest: Mapping[int, float]) -> Iterator[dict[str, Any]]:
        """Yields the events for the logged name ``place``, from the largest norm of each step by its number."""
        for step, value in largest.items():
            yield from _explosion(self._examples, step=step, place=place, value=value)

    def of_parameters(self, step: int, numbers: Mapping[str, float]) -> Iterator[dict[str, Any]]:
        """Yields the events of a logged step's numbers (`ParameterNorms.numbers`)."""
        yield from _explosion(self._total, step=step, place=TOTAL, value=numbers[TOTAL])
        for place, rule in self._vanishing.items():
            if rule.sees(numbers[place]):
                yield {"step": step, "kind": "vanishing", "place": place, "value": numbers[place]}

    @property
    def _rules(self) -> dict[str, Any]:
        return {"examples": self._examples, TOTAL: self._total, **self._vanishing}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the rules."""
        return {name: rule.state() for name, rule in self._rules.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        for name, rule in self._rules.items():
            rule.restore(state[name])


def _explosion(rule: Explosion, *, step: int, place: str, value: float) -> Iterator[dict[str, Any]]:
    """Adds the next number to ``rule`` and yields its event, if there is one."""
    verdict = rule.sees(value)
    if verdict is not Verdict.USUAL:
        decisive = verdict is Verdict.DECISIVE
        yield {"step": step, "kind": "explosion", "place": place, "value": value, "decisive": decisive}
