"""The rules on simulated norms: quiet on healthy ones, and an alarm on each way to explode."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import alarm_power
import numpy as np
import pytest
from scipy import stats

from clsnorm.errors import InputError
from clsnorm.gradients import Explosion, Finding, HighLevel
from clsnorm.gradients.explosion import rise_of


def detector(**options: float) -> Explosion:
    return Explosion(**{"window": 128, "deviations": 8.0, "growth": 4.0, **options})  # type: ignore[arg-type]


def found(detector: Explosion, values: Iterable[float]) -> list[tuple[int, str]]:
    """Step and rule of each finding."""
    return [(step, one.rule) for step, value in enumerate(values) for one in detector.sees(value)]


def noise(count: int, *, sigma: float = 0.5, seed: int = 0) -> np.ndarray:
    return np.exp(sigma * np.random.default_rng(seed).standard_normal(count))


@pytest.mark.parametrize("steps", [96, 300])
def test_a_healthy_run_raises_no_alarm_in_simulations(steps: int) -> None:
    counts = [
        alarm_power.alarms(name, trend, steps=steps, sigma=sigma, runs=20)[0]
        for name, trend in alarm_power.HEALTHY.items()
        for sigma in alarm_power.SIGMAS
    ]
    assert sum(counts) <= 1  # of 400 runs


@pytest.mark.parametrize("name", alarm_power.EXPLODING)
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_each_explosion_is_found_in_simulations(name: str, sigma: float) -> None:
    exploded, _ = alarm_power.alarms(name, alarm_power.EXPLODING[name], steps=300, sigma=sigma, runs=20)
    assert exploded >= 16


def test_the_table_of_the_docs_has_a_row_for_each_pattern() -> None:
    rows = list(alarm_power.rows(1, lengths=(40,)))
    assert len(rows) == len(alarm_power.HEALTHY) + 2 + len(alarm_power.EXPLODING)
    assert {len(row) for row in rows} == {3 + len(alarm_power.SIGMAS)}


def test_a_burst_in_the_first_steps_is_found_in_hindsight_and_reported_once() -> None:
    values = noise(300, sigma=0.3)
    values[:15] *= 1000
    assert found(detector(), values) == [(31, "burst")]


def test_a_lasting_jump_is_a_spike_then_a_burst_and_then_growth() -> None:
    values = np.concatenate([noise(200, sigma=0.2), 100 * noise(200, sigma=0.2, seed=1)])
    rules = found(detector(), values)
    assert rules[:2] == [(200, "spike"), (211, "burst")]  # twelve steps in a row
    assert "growth" in {rule for _, rule in rules[2:]}


def test_steady_growth_is_found_and_its_factor_reported() -> None:
    values = np.exp(np.log(100) * np.arange(300) / 300) * noise(300, sigma=0.1)
    steps = [(step, one) for judge in [detector()] for step, v in enumerate(values) for one in judge.sees(v)]
    assert {one.rule for _, one in steps} == {"growth"}
    step, first = steps[0]
    assert first.value == pytest.approx(math.exp(np.log(100) * (step - 15) / 300), rel=0.1)  # between blocks' middles
    assert first.value > 4


def test_falling_norms_are_healthy() -> None:
    assert found(detector(), np.exp(-np.log(1e6) * np.arange(500) / 500) * noise(500, sigma=0.3)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_each_non_finite_value_is_reported_and_not_remembered(value: float) -> None:
    judge = detector()
    assert found(judge, [value, 1.0, value]) == [(0, "non_finite"), (2, "non_finite")]
    assert found(judge, noise(300)) == []


def test_zeros_are_passed_over() -> None:
    values = noise(300)
    values[::3] = 0.0
    assert found(detector(), values) == []


def test_a_level_is_reported_once_if_it_lasts() -> None:
    level = HighLevel(10.0)
    assert not any(level.sees(value) for value in [1e9] * 7 + [1.0] * 30)  # the median of 16 stays below
    assert [one for value in [11.0] * 40 for one in level.sees(value)] == [Finding("level", 11.0)]
    assert not any(HighLevel(math.inf).sees(1e300) for _ in range(40))


def test_the_rise_is_that_of_scipys_line() -> None:
    values = np.random.default_rng(0).standard_normal(12).cumsum()
    line = stats.linregress(np.arange(12), values)
    assert rise_of(values, 0.0) == pytest.approx((11 * line.slope, 11 * line.stderr), rel=1e-12)
    steady = rise_of(np.arange(5.0), 0.5)  # no scatter, so the noise that is given
    assert steady == pytest.approx((4.0, 4 * 0.5 / math.sqrt(10)), rel=1e-12)


def test_state_resumes_after_any_step() -> None:
    values = noise(260, sigma=0.3)
    values[:15] *= 1000
    values[150:] *= 100
    whole = list(map(detector().sees, values))
    first = detector()
    for step, value in enumerate(values):
        if step in (0, 7, 31, 40, 155, 170, 250):
            second = detector()
            second.restore(json.loads(json.dumps(first.state())))
            assert list(map(second.sees, values[step:])) == whole[step:]
        first.sees(value)
    level, again = HighLevel(3.0), HighLevel(0.0)
    for _ in range(10):
        level.sees(4.0)
    again.restore(level.state())
    assert (
        [bool(again.sees(4.0)) for _ in range(8)]
        == [bool(level.sees(4.0)) for _ in range(8)]
        == [False] * 5
        + [
            True,
            False,
            False,
        ]
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", 2), ("window", 6.5), ("deviations", 0.0), ("growth", 1.0), ("growth", math.inf), ("growth", True)],
)
def test_bad_arguments_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"`{name}`"):
        detector(**{name: value})
