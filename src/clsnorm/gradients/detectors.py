"""Detects exploding and vanishing gradients: rules on series of numbers, one per step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from clsnorm.errors import require_positive, require_probability, require_whole
from clsnorm.gradients.explosion import Explosion, Finding, HighLevel, require_growth

PARAMETER_GROWTH = 30.0  # a healthy run's mean gradient grows about tenfold while its examples' gradients hardly do


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
    """The rules of a run, on the norms of every step, also of those that are not logged.

    - ``explosion``: a series breaks a rule of `Explosion` other than ``spike``, or the largest norms at h are above
      ``level`` times their reference throughout (`HighLevel`). The event's place is the series and the rule, such as
      ``grad/h/max/burst``. The norm of all parameters is allowed to grow by `PARAMETER_GROWTH`: at first the gradients
      of examples cancel in a batch, and later they no longer do.
    - ``spike``: the rule of that name.
    - ``vanishing``, on logged steps: ``grad/depth/bottom_to_top`` stays below a hundredth of its first values or below
      1e-4, or ``grad/depth/bottom`` below 1e-8. The latter is not compared with its first values: the gradients of all
      layers fall with the loss, and a run that has converged has not failed. A vanishing gradient is not yet a failed
      run either.

    Args:
        window: As in `Explosion`.
        deviations: As in `Explosion`.
        growth: As in `Explosion`, for norms of single examples.
        level: How many times the reference the largest norms at h may be; None: as large as they are.

    Raises:
        InputError: If an argument is out of range.
    """

    kinds = ("explosion", "spike", "vanishing")

    def __init__(self, *, window: int, deviations: float, growth: float, level: float | None) -> None:
        require_positive("level", level, or_null=True, advice="Give null for no limit")
        require_growth(growth)
        self._options = {"window": window, "deviations": deviations}
        Explosion(**self._options, growth=growth)  # type: ignore[arg-type]  # refuses its arguments before training
        self._growth, self._level = growth, math.inf if level is None else level
        self._series: dict[str, Explosion] = {}
        self._high = HighLevel(math.inf)
        self._vanishing = {
            "grad/depth/bottom_to_top": Vanishing(window=10, share=0.01, floor=1e-4),
            "grad/depth/bottom": Vanishing(window=10, share=0.0, floor=1e-8),
        }

    def set_reference(self, reference: float) -> None:
        """Sets the reference of norms at h; NaN: there is none. Call it before the first step of a run."""
        self._high = HighLevel(math.inf if math.isnan(reference) else self._level * reference)

    def of_examples(self, place: str, largest: Mapping[int, float], *, at_h: bool = False) -> Iterator[dict[str, Any]]:
        """Yields the events of a series named ``place``: the largest norm of each step, by its number."""
        series = self._series_at(place, self._growth)
        for step, value in largest.items():
            found = [*series.sees(value), *(self._high.sees(value) if at_h else ())]
            yield from _events(found, step=step, place=place)

    def of_parameters(self, place: str, norms: Mapping[int, float]) -> Iterator[dict[str, Any]]:
        """Yields the events of a series named ``place`` of norms of parameters, by the number of their step."""
        series = self._series_at(place, PARAMETER_GROWTH)
        for step, value in norms.items():
            yield from _events(series.sees(value), step=step, place=place)

    def of_depth(self, step: int, numbers: Mapping[str, float]) -> Iterator[dict[str, Any]]:
        """Yields the events of a logged step's numbers (`ParameterNorms.numbers`)."""
        for place, rule in self._vanishing.items():
            if rule.sees(numbers[place]):
                yield {"step": step, "kind": "vanishing", "place": place, "value": numbers[place]}

    def _series_at(self, place: str, growth: float) -> Explosion:
        if place not in self._series:
            self._series[place] = Explosion(**self._options, growth=growth)  # type: ignore[arg-type]
        return self._series[place]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the rules."""
        series = {place: rule.state() for place, rule in self._series.items()}
        vanishing = {place: rule.state() for place, rule in self._vanishing.items()}
        return {"series": series, "level": self._high.state(), "vanishing": vanishing}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        for place, kept in state["series"].items():
            self._series_at(place, kept["growth"]).restore(kept)
        self._high.restore(state["level"])
        for place, kept in state["vanishing"].items():
            self._vanishing[place].restore(kept)


def _events(found: Iterable[Finding], *, step: int, place: str) -> Iterator[dict[str, Any]]:
    for finding in found:
        kind = "spike" if finding.rule == "spike" else "explosion"
        yield {"step": step, "kind": kind, "place": f"{place}/{finding.rule}", "value": finding.value}
