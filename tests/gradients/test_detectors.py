from __future__ import annotations

import math
import random

import pytest

from clsnorm.errors import InputError
from clsnorm.gradients import Explosion, Vanishing


def test_a_jump_explodes_and_noise_does_not() -> None:
    draw = random.Random(0)
    detector = Explosion(window=128, deviations=6.0)
    assert not any(detector.sees(1 + 0.1 * draw.random()) for _ in range(500))
    assert detector.sees(3.0)
    assert detector.sees(3.0)  # a burst does not become the rule
    assert not detector.sees(1.05)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_explodes_at_once(value: float) -> None:
    assert Explosion(window=128, deviations=6.0).sees(value)


def test_nothing_is_said_before_half_a_window() -> None:
    detector = Explosion(window=10, deviations=1.0)
    assert not any(detector.sees(10.0**step) for step in range(5))


def test_vanishing_is_told_once_and_only_if_it_lasts() -> None:
    detector = Vanishing(window=3, share=0.01, floor=0.0)
    assert not any(detector.sees(1.0) for _ in range(3))
    assert [detector.sees(value) for value in (0.001, 0.5, 0.001, 0.001, 0.001, 0.001)] == [
        False, False, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["explosion", "vanishing"])
def test_state_goes_on(kind: str) -> None:
    def made() -> Explosion | Vanishing:
        return Explosion(window=8, deviations=3.0) if kind == "explosion" else Vanishing(window=3, share=0.1, floor=0.0)

    series = [1.0, 1.1, 0.9, 1.0, 1.2, 0.01, 0.01, 9.0, 0.01, 0.01, 0.01]
    whole, first = made(), made()
    expected = [whole.sees(value) for value in series]
    told = [first.sees(value) for value in series[:6]]
    second = made()
    second.restore(first.state())  # type: ignore[arg-type]
    assert told + [second.sees(value) for value in series[6:]] == expected


def test_bad_arguments() -> None:
    for window, deviations in ((2, 6.0), (6.5, 6.0), (8, 0.0)):
        with pytest.raises(InputError, match=r"`(window|deviations)`"):
            Explosion(window=window, deviations=deviations)  # type: ignore[arg-type]
    for window, share in ((0, 0.1), (3, 1.0)):
        with pytest.raises(InputError):
            Vanishing(window=window, share=share, floor=0.0)


def test_a_short_run_is_judged() -> None:
    detector = Explosion(window=128, deviations=6.0)
    assert not any(detector.sees(1 + 0.01 * (step % 3)) for step in range(16))
    assert detector.sees(1e6)


@pytest.mark.parametrize("value", [0.0, 1e-5])
def test_what_has_vanished_from_the_start_is_told_once(value: float) -> None:
    detector = Vanishing(window=3, share=0.01, floor=1e-4)
    assert [detector.sees(value) for _ in range(6)] == [False, False, True, False, False, False]
