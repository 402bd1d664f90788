from __future__ import annotations

import math

import pytest

from clsnorm.errors import InputError
from clsnorm.gradients import GradientAlarms, Vanishing


def alarms(**options: float | None) -> GradientAlarms:
    return GradientAlarms(**{"window": 128, "deviations": 8.0, "growth": 4.0, "level": 100.0, **options})  # type: ignore[arg-type]


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
    judge = alarms()
    seen = []
    for _ in range(3):  # reported only in the first round, also across interruptions
        for step, numbers in enumerate([depth(bottom=1.0, top=1.0)] * 20 + [late] * 20):
            seen += [event["place"] for event in judge.of_depth(step, numbers)]
        state, judge = judge.state_dict(), alarms()
        judge.load_state_dict(state)
    assert seen == places


def test_vanishing_resumes_after_any_step() -> None:
    def detector() -> Vanishing:
        return Vanishing(window=3, share=0.1, floor=0.0)

    series = [1.0, 1.1, 0.9, 1.0, 1.2, 0.01, 9.0, 9.0, 9.0, 0.01, 0.01, 0.01, 0.01]
    whole, first = detector(), detector()
    expected = [whole.sees(value) for value in series]
    for interruption in range(len(series)):
        second = detector()
        second.restore(first.state())
        assert [second.sees(value) for value in series[interruption:]] == expected[interruption:]
        first.sees(series[interruption])


def test_bad_arguments() -> None:
    for window, share in ((0, 0.1), (3, 1.0), (3, -0.1)):
        with pytest.raises(InputError, match=r"`(window|share)`"):
            Vanishing(window=window, share=share, floor=0.0)
    for name, value in (("window", 3), ("deviations", 0), ("growth", 1), ("level", 0), ("level", math.inf)):
        with pytest.raises(InputError, match=f"`{name}`"):
            alarms(**{name: value})


def test_events_name_the_series_and_the_rule() -> None:
    judge = alarms()
    judge.set_reference(0.5)
    norms = dict.fromkeys(range(40), 60.0) | {40: math.inf, 41: 6e4}
    events = list(judge.of_examples("grad/h/max", norms, at_h=True))
    assert [(event["step"], event["kind"], event["place"]) for event in events] == [
        (15, "explosion", "grad/h/max/level"),  # above 100 times 0.5, throughout
        (40, "explosion", "grad/h/max/non_finite"),
        (41, "spike", "grad/h/max/spike"),
    ]
    assert events[0]["value"] == 60.0


@pytest.mark.parametrize(("level", "reference"), [(None, 0.5), (100.0, math.nan)])
def test_without_a_level_or_a_reference_a_steady_run_is_quiet(level: float | None, reference: float) -> None:
    judge = alarms(level=level)
    judge.set_reference(reference)
    assert list(judge.of_examples("grad/h/max", dict.fromkeys(range(40), 1e9), at_h=True)) == []


def test_the_mean_gradient_may_grow_more_than_that_of_an_example() -> None:
    def events(factor: float, *, examples: bool) -> int:
        norms = {step: math.exp(math.log(factor) * step / 300) for step in range(300)}
        judge = alarms()
        return len([*(judge.of_examples("a", norms) if examples else judge.of_parameters("b", norms))])

    assert [events(10, examples=True), events(10, examples=False), events(100, examples=False)] == [1, 0, 1]


def test_alarms_resume_in_the_middle_of_a_growth() -> None:
    norms = [math.exp(0.01 * step) for step in range(400)]
    whole = list(alarms().of_parameters("p", dict(enumerate(norms))))
    first, second = alarms(), alarms()
    seen = list(first.of_parameters("p", dict(enumerate(norms[:100]))))
    second.load_state_dict(first.state_dict())
    seen += second.of_parameters("p", dict(enumerate(norms[100:], start=100)))
    assert seen == whole
    assert whole


@pytest.mark.parametrize("value", [0.0, 1e-5])
def test_a_gradient_that_is_small_from_the_start_is_reported_once(value: float) -> None:
    detector = Vanishing(window=3, share=0.01, floor=1e-4)
    assert [detector.sees(value) for _ in range(6)] == [False, False, True, False, False, False]
