"""`Stopwatch`, `Profile` and `PeakMemory`: what a run measures of itself."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from clsnorm.records import PeakMemory, Profile, Stopwatch


def test_stopwatch_counts_cached_calibrations_and_earlier_sessions() -> None:
    watch = Stopwatch(time.perf_counter())
    watch.calibrate(lambda: 50.0)
    assert watch.calibration_seconds == 50.0
    assert 50.0 <= watch.elapsed < 55.0
    step: Any = SimpleNamespace(global_size=16)
    watch.on_train_batch_start(None, None, step, 0)  # type: ignore[arg-type]
    watch.on_train_batch_end(None, None, None, step, 0)  # type: ignore[arg-type]
    resumed = Stopwatch(time.perf_counter())
    resumed.load_state_dict(watch.state_dict())
    assert (resumed.examples, resumed.seconds) == (16, watch.seconds)
    assert resumed.elapsed >= 50.0
    assert resumed.examples_per_second == 16 / watch.seconds


def test_profile_adds_up_over_an_interruption() -> None:
    first = Profile({"a": {"steps": 1.0, "passes": 2.0}, "gone": {"steps": 9.0, "passes": 9.0}})
    counters = {"a": {"steps": 0.0, "passes": 1.0}}
    resumed = Profile(counters)
    resumed.load_state_dict(first.state_dict())
    assert counters == {"a": {"steps": 1.0, "passes": 3.0}}
    assert resumed.shares(40.0) == {"a": {"seconds": 4.0, "step_seconds": 1.0, "share": 0.1, "step_share": 0.025}}


def test_peak_memory_grows_with_allocated_memory() -> None:
    memory = PeakMemory()
    before = memory.mb()
    block = np.ones(64 * 2**20, np.uint8)
    assert memory.mb() > before + 50
    assert block[-1] == 1
