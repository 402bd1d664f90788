"""A small run of tools/report_calibration.py: the promises of intervals and tests, within simulation error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import report_calibration
from calibration import measured, relabelled_runs, simulations
from sweep_folders import write_run

SIMULATIONS = 500


def within(value: float, level: float, simulations: int, *, errors: float = 3.5) -> bool:
    return value <= level + errors * (level * (1 - level) / simulations) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seeds", measured.SEEDS)
def test_the_crossed_interval_and_tests_hold_their_levels(seeds: int) -> None:
    rows = [row for row in simulations.crossed_rows(seeds, SIMULATIONS) if not row.method.startswith("rejected")]
    assert len(rows) == 4 * len(simulations.SHARES)
    for row in rows:
        level = {"coverage 95 %": 0.05, "false positives 0.1 %": 0.001}.get(row.promise, 0.05)
        error = 1 - row.value if row.promise.startswith("coverage") else row.value
        assert within(error, level, SIMULATIONS), row


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 10])
def test_a_family_holds_its_level(seeds: int) -> None:
    for row in simulations.family_rows(seeds, 60):
        assert within(row.value, 0.05, 60), row


@pytest.mark.slow
def test_the_method_that_was_rejected_fails() -> None:
    """So that the simulation is known to find what is wrong."""
    rows = list(simulations.crossed_rows(3, 1000))
    worst = max(row.value for row in rows if row.method.startswith("rejected") and "0.1 %" in row.promise)
    assert worst > 0.005


def test_the_table_has_a_line_per_method_and_a_column_per_number_of_seeds() -> None:
    rows = [row for seeds in (3, 5) for row in simulations.set_rows(seeds, 50)]
    assert isinstance(rows[0], measured.Measured)
    text = measured.markdown(measured.grouped(rows))
    assert len(text.splitlines()) == 2 + 2
    assert "mean over data sets" in text


def test_correlations_and_shares_have_rows() -> None:
    assert list(simulations.rank_rows(3, 5)) == []  # too few points for an interval
    rows = [*simulations.rank_rows(5, 20), *simulations.share_rows(3, 20)]
    assert [row.method for row in rows].count("shares of variance") == 3
    assert all(row.value >= 0.7 for row in rows)


def test_the_page_has_the_stored_table() -> None:
    page = report_calibration.PAGE.read_text(encoding="utf-8")
    assert measured.with_table(page, json.loads(report_calibration.STORED.read_text())) == page
    assert "crossed interval" in page


@pytest.mark.parametrize("seeds", [3, 10])
def test_relabelled_runs_of_one_arm_have_the_true_difference_0(seeds: int) -> None:
    """Runs with real structure: each row is easier or harder for all runs, and each run better or worse on all rows."""
    random = np.random.default_rng(seeds)
    easy, good = random.normal(1, 1, 300), random.normal(0, 0.1, (50, 1))
    scores = (random.normal(size=(50, 300)) < easy + good).astype(float)
    rows = list(relabelled_runs.real_rows("made", scores, seeds, draws=400))
    assert len(rows) == 8
    for row in rows:
        level = 0.001 if "0.1 %" in row.promise else 0.05
        error = 1 - row.value if row.promise.startswith("coverage") else row.value
        assert within(error, level, 400), row
    for drawn in relabelled_runs.relabelled(np.arange(50.0)[:, None], seeds, 2, 20):
        assert len(set(drawn.ravel())) == 2 * seeds  # no run is in both arms, or twice


def test_runs_are_read_that_differ_in_seeds_alone(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / "runs", 0.7 + 0.1 * seed, seed=seed)
    task, scores = relabelled_runs.read_scores(tmp_path / "runs")
    assert task == "trec"
    assert sorted(scores.mean(1)) == pytest.approx([0.7, 0.8, 0.9], abs=0.01)
    write_run(tmp_path / "runs", seed=3, normalizer="center")
    with pytest.raises(SystemExit, match="one arm"):
        relabelled_runs.read_scores(tmp_path / "runs")
    write_run(tmp_path / "other", seed=0)
    write_run(tmp_path / "other", seed=1, data__max_length=9)
    with pytest.raises(SystemExit, match=r"data\.max_length"):
        relabelled_runs.read_scores(tmp_path / "other")


def test_too_few_runs_have_no_rows() -> None:
    assert not list(relabelled_runs.real_rows("made", np.ones((5, 4)), 3))


def test_lines_of_the_other_kind_stay() -> None:
    simulated = {"promise": "p", "method": "m", "world": "normal", "3": 0.5}
    real = {"promise": "p", "method": "m", "world": f"{relabelled_runs.REAL} on x", "3": 0.4}
    assert report_calibration.joined([simulated], [real], real=True) == [simulated, real]
    assert report_calibration.joined([simulated, real], [{**real, "3": 0.1}], real=True)[1]["3"] == 0.1
    assert report_calibration.joined([simulated, real], [simulated], real=False) == [simulated, real]
