"""`Profile`: the share of a run's time that each observer takes."""

from __future__ import annotations

from clsnorm.records import Profile


def test_profile_adds_up_over_an_interruption() -> None:
    first = Profile({"a": {"steps": 1.0, "passes": 2.0}, "gone": {"steps": 9.0, "passes": 9.0}})
    counters = {"a": {"steps": 0.0, "passes": 1.0}}
    resumed = Profile(counters)
    resumed.load_state_dict(first.state_dict())
    assert counters == {"a": {"steps": 1.0, "passes": 3.0}}
    assert resumed.shares(40.0) == {"a": {"seconds": 4.0, "step_seconds": 1.0, "share": 0.1, "step_share": 0.025}}
