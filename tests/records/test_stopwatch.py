"""`Stopwatch`: seconds and examples per second of a run."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from clsnorm.records import Stopwatch


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


def test_the_pass_of_a_frozen_encoder_counts_in_full_and_survives_a_resume() -> None:
    watch = Stopwatch(time.perf_counter())
    watch.encode(lambda: 30.0)
    watch.calibrate(lambda: 50.0)
    assert watch.encoding_seconds == 30.0
    assert 80.0 <= watch.elapsed < 85.0
    resumed = Stopwatch(time.perf_counter())
    resumed.encode(lambda: 20.0)  # read from the cache again, or computed again
    resumed.load_state_dict(watch.state_dict())
    assert resumed.encoding_seconds == 30.0
    assert 80.0 <= resumed.elapsed < 85.0
    older = watch.state_dict()
    del older["encoding_seconds"]
    resumed.load_state_dict(older)
    assert resumed.encoding_seconds == 0.0
