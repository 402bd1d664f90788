"""Series over steps and their summaries, against NumPy and torch's own clipping."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from clsnorm.gradients import (
    Examples,
    RunGradients,
    RunSeries,
    StepVectors,
    clip_coefficient,
    clip_summary,
    step_summary,
)


def test_summary_of_a_growing_norm() -> None:
    norms = 2.0 * np.exp(0.01 * np.arange(95))
    found = step_summary(norms)
    assert found["growth/log_slope"] == pytest.approx(0.01, rel=1e-12)
    assert found["start/max"] == norms[9]  # the first tenth is ten of 95 steps
    assert found["start/median"] == pytest.approx(np.median(norms[:10]))
    assert found["growth/end_to_start"] == pytest.approx(np.median(norms[-10:]) / np.median(norms[:10]))
    assert (found["run/max"], found["run/median"]) == (norms[-1], np.median(norms))


def test_a_slope_leaves_out_what_has_no_logarithm_and_maxima_do_not() -> None:
    norms = np.random.default_rng(0).lognormal(size=40)
    norms[[3, 20, 30]] = 0.0, math.nan, math.inf
    kept = np.delete(np.arange(40), [3, 20, 30])
    found = step_summary(norms)
    assert found["growth/log_slope"] == pytest.approx(stats.linregress(kept, np.log(norms[kept])).slope, rel=1e-10)
    assert found["run/max"] == math.inf
    assert step_summary(np.zeros(0)) == {}
    assert math.isnan(step_summary(np.zeros(5))["growth/log_slope"])


@pytest.mark.parametrize("clip", [1.0, 50.0, None])
def test_the_coefficient_is_that_of_torch(clip: float | None) -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([3.0, 4.0, 12.0])
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([parameter], clip)
    assert float(parameter.grad.norm()) == pytest.approx(13 * clip_coefficient(13.0, clip), rel=1e-6)


def test_clip_summary() -> None:
    found = clip_summary(np.array([1.0, 1.0, 0.5, 0.1]))
    assert found == {"clipped_share": 0.5, "clip_coefficient/median": 0.75, "clip_coefficient/min": 0.1}
    assert clip_summary(np.zeros(0)) == {}


def test_vectors_of_steps_survive_an_interruption() -> None:
    first, second = StepVectors(2), StepVectors(2)
    first.add(3, torch.tensor([1.0, 2.0]))
    second.load_state_dict(first.state_dict())
    second.add(4, torch.tensor([3.0, 4.0]))
    assert {step: vector.tolist() for step, vector in second.take(second.packed()).items()} == {3: [1, 2], 4: [3, 4]}
    assert second.take(second.packed()) == {}


def test_series_of_a_run_have_gaps_where_they_have_no_number() -> None:
    series, again = RunSeries(), RunSeries()
    series.add("parameters/total", {0: 1.0, 2: 4.0})
    again.load_state_dict(series.state_dict())
    again.add("h/max", {0: 5.0, 1: 6.0, 2: 7.0})
    again.add("clip_coefficient", {0: 1.0, 2: 0.25})
    again.add("parameters/layer01/ffn", {0: 1.0})
    arrays = again.arrays()
    np.testing.assert_array_equal(arrays["step"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["parameters/total"], [1.0, np.nan, 4.0])
    found = again.summary()
    assert found["grad/steps/h/max/run/max"] == 7.0
    assert not any("layer01" in name for name in found)
    assert RunSeries().summary() == {}


def test_a_run_keeps_examples_and_steps(tmp_path: Path) -> None:
    norms, steps = torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64), torch.tensor([4, 4, 5])
    run, again = RunGradients(), RunGradients()
    again.write(tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing to write
    assert run.add_examples("h", Examples(norms, steps, {})) == {4: 3.0, 5: 5.0}
    assert run.add_examples("gain_bound", Examples(norms, steps, {}), by_step=False) == {}
    parts = {4: {"head": 3.0, "total": 5.0}, 5: {"head": 0.1, "total": 0.5}}
    assert run.add_parameters(parts, clip=1.0) == {4: 5.0, 5: 0.5}
    again.load_state_dict(run.state_dict())
    assert again.summary() == run.summary()
    assert again.summary()["grad/run/h/median"] == 3.0
    assert again.summary()["grad/steps/clipped_share"] == 0.5
    again.write(tmp_path)
    with np.load(tmp_path / "gradient_steps.npz") as file:
        assert set(file.files) == {"step", "h/max", "h/mean", "parameters/head", "parameters/total", "clip_coefficient"}
        np.testing.assert_array_equal(file["h/mean"], [2.0, 5.0])
    by_value = RunGradients()
    by_value.add_parameters(parts, clip=None)
    assert "clip_coefficient" not in by_value.series.arrays()
