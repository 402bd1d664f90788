from __future__ import annotations

import math
import random
from collections.abc import Iterable

import pytest

from clsnorm.errors import InputError
from clsnorm.gradients import Explosion, GradientAlarms, Vanishing, Verdict


def reported(detector: Explosion, values: Iterable[float]) -> list[tuple[int, bool]]:
    """Indices of the values that are reported, and whether as decisive."""
    verdicts = [detector.sees(value) for value in values]
    return [(n, v is Verdict.DECISIVE) for n, v in enumerate(verdicts) if v is not Verdict.USUAL]


def noise(count: int, *, level: float = 1.0, sigma: float = 0.2) -> list[float]:
    """Norms like those of real runs: unbounded above and skewed."""
    draw = random.Random(0)
    return [level * draw.lognormvariate(0.0, sigma) for _ in range(count)]


def in_noise(**options: float) -> Explosion:
    """A detector that has seen a thousand norms of a healthy run, and reported none."""
    detector = Explosion(window=128, deviations=6.0)
    assert reported(detector, noise(1000, **options)) == []
    return detector


def test_a_shift_by_half_is_not_an_explosion_even_if_norms_hardly_vary() -> None:
    assert reported(in_noise(sigma=0.02), noise(300, level=1.5, sigma=0.02)) == []


def test_a_lasting_explosion_is_reported_at_its_start_and_becomes_decisive_later() -> None:
    detector = in_noise()
    assert reported(detector, noise(300, level=10.0)) == [(0, False), (2, True)]
    assert reported(detector, noise(300, level=10.0)) == []  # the window contains it


def test_each_spike_is_reported_once_and_not_as_decisive() -> None:
    assert reported(in_noise(), [10.0, 1.0, 10.0, 10.0, 1.0]) == [(0, False), (2, False)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_each_non_finite_value_is_reported_as_decisive(value: float) -> None:
    detector = Explosion(window=128, deviations=6.0)
    assert reported(detector, [value, 1.0, *[value] * 4]) == [(n, True) for n in (0, 2, 3, 4, 5)]
    assert reported(detector, noise(500)) == []  # it is not remembered


def test_nothing_is_reported_before_half_a_window() -> None:
    detector = Explosion(window=10, deviations=1.0)
    assert reported(detector, [10.0**step for step in range(6)]) == [(5, False)]


def test_vanishing_is_reported_once_and_only_if_it_lasts() -> None:
    detector = Vanishing(window=3, share=0.01, floor=0.0)
    assert not any(detector.sees(1.0) for _ in range(3))
    small = [0.001] * 3
    assert [n for n, value in enumerate((0.001, 0.5, *small, *small)) if detector.sees(value)] == [4]
    assert not any(detector.sees(value) for value in (0.5, *small, 0.5, *small))  # each time it falls again


def depth(*, bottom: float, top: float) -> dict[str, float]:
    """The input of the alarms for a logged step whose first and last layer have these norms."""
    return {"grad/parameters/total": 1.0, "grad/depth/bottom": bottom, "grad/depth/bottom_to_top": bottom / top}


@pytest.mark.parametrize(
    ("late", "places"),
    [
        (depth(bottom=1e-5, top=1e-5), []),  # has converged
        (depth(bottom=1e-5, top=1.0), ["grad/depth/bottom_to_top"]),
        (depth(bottom=1e-9, top=1e-9), ["grad/depth/bottom"]),
    ],
)
def test_a_run_that_has_converged_has_not_vanished(late: dict[str, float], places: list[str]) -> None:
    alarms = GradientAlarms(window=128, deviations=6.0)
    seen = []
    for _ in range(3):  # reported only in the first round, also across interruptions
        for step, numbers in enumerate([depth(bottom=1.0, top=1.0)] * 20 + [late] * 20):
            seen += [event["place"] for event in alarms.of_parameters(step, numbers)]
        state, alarms = alarms.state_dict(), GradientAlarms(window=128, deviations=6.0)
        alarms.load_state_dict(state)
    assert seen == places


@pytest.mark.parametrize("kind", ["explosion", "vanishing"])
def test_state_resumes(kind: str) -> None:
    def detector() -> Explosion | Vanishing:
        return Explosion(window=8, deviations=3.0) if kind == "explosion" else Vanishing(window=3, share=0.1, floor=0.0)

    series = [1.0, 1.1, 0.9, 1.0, 1.2, 0.01, 9.0, 9.0, 9.0, 0.01, 0.01, 0.01, 0.01]
    whole, first = detector(), detector()
    expected = [whole.sees(value) for value in series]
    for interruption in range(len(series)):
        second = detector()
        second.restore(first.state())
        assert [second.sees(value) for value in series[interruption:]] == expected[interruption:]
        first.sees(series[interruption])


def test_bad_arguments() -> None:
    for window, deviations in ((2, 6.0), (6.5, 6.0), (True, 6.0), (8, 0.0), (8, math.inf)):
        with pytest.raises(InputError, match=r"`(window|deviations)`"):
            Explosion(window=window, deviations=deviations)  # type: ignore[arg-type]
    for window, share in ((0, 0.1), (3, 1.0), (3, -0.1)):
        with pytest.raises(InputError, match=r"`(window|share)`"):
            Vanishing(window=window, share=share, floor=0.0)


def test_a_short_run_is_judged() -> None:
    detector = Explosion(window=128, deviations=6.0)
    assert reported(detector, [*(1 + 0.01 * (step % 3) for step in range(16)), 1e6]) == [(16, False)]


@pytest.mark.parametrize("value", [0.0, 1e-5])
def test_a_gradient_that_is_small_from_the_start_is_reported_once(value: float) -> None:
    detector = Vanishing(window=3, share=0.01, floor=1e-4)
    assert [detector.sees(value) for _ in range(6)] == [False, False, True, False, False, False]
