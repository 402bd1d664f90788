"""A small run of tools/report_calibration.py: the promises of intervals and tests, within simulation error."""

from __future__ import annotations

import json

import pytest
import report_calibration as calibration

SIMULATIONS = 500


def within(value: float, level: float, simulations: int, *, errors: float = 3.5) -> bool:
    return value <= level + errors * (level * (1 - level) / simulations) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seeds", calibration.SEEDS)
def test_the_crossed_interval_and_tests_hold_their_levels(seeds: int) -> None:
    rows = [row for row in calibration.crossed_rows(seeds, SIMULATIONS) if not row.method.startswith("rejected")]
    assert len(rows) == 4 * len(calibration.SHARES)
    for row in rows:
        level = {"coverage 95 %": 0.05, "false positives 0.1 %": 0.001}.get(row.promise, 0.05)
        error = 1 - row.value if row.promise.startswith("coverage") else row.value
        assert within(error, level, SIMULATIONS), row


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 10])
def test_a_family_holds_its_level(seeds: int) -> None:
    for row in calibration.family_rows(seeds, 60):
        assert within(row.value, 0.05, 60), row


@pytest.mark.slow
def test_the_method_that_was_rejected_fails() -> None:
    """So that the simulation is known to find what is wrong."""
    rows = list(calibration.crossed_rows(3, 1000))
    worst = max(row.value for row in rows if row.method.startswith("rejected") and "0.1 %" in row.promise)
    assert worst > 0.005


def test_the_table_has_a_line_per_method_and_a_column_per_number_of_seeds() -> None:
    rows = [row for seeds in (3, 5) for row in calibration.set_rows(seeds, 50)]
    assert isinstance(rows[0], calibration.Measured)
    text = calibration.markdown(calibration.grouped(rows))
    assert len(text.splitlines()) == 2 + 2
    assert "mean over data sets" in text


def test_correlations_and_shares_have_rows() -> None:
    assert list(calibration.rank_rows(3, 5)) == []  # too few points for an interval
    rows = [*calibration.rank_rows(5, 20), *calibration.share_rows(3, 20)]
    assert [row.method for row in rows].count("shares of variance") == 3
    assert all(row.value >= 0.7 for row in rows)


def test_the_page_has_the_stored_table() -> None:
    page = calibration.PAGE.read_text(encoding="utf-8")
    assert calibration.with_table(page, json.loads(calibration.STORED.read_text())) == page
    assert "crossed interval" in page
