from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sweep_folders import write_run

from clsnorm.report.comparisons import TUNED, Comparison, compare, edges, protocols, tuned_rate
from clsnorm.report.inference.crossed import crossed
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.example_table import ExampleTable
from clsnorm.report.sweeps.run_row import RunRow, read_rows


def sweep(folder: Path) -> list[RunRow]:
    for seed in range(3):
        for lr, gain in ((1e-4, 0.0), (3e-4, 0.1)):
            write_run(folder, 0.7 + gain, seed=seed, optimizer__lr=lr)
            write_run(folder, 0.75 - gain, seed=seed, normalizer="center", optimizer__lr=lr)
        write_run(folder, 0.9, seed=seed, normalizer="once", optimizer__lr=3e-4)
    rows = read_rows([folder])
    name_arms(rows)
    return rows


def test_each_arm_has_its_best_rate_on_select_and_an_untuned_one_none(tmp_path: Path) -> None:
    rows = sweep(tmp_path)
    found = protocols(rows, "identity")
    assert found[TUNED] == {"identity": 3e-4, "center": 1e-4}
    assert found["lr=0.0003"] == {"identity": 3e-4, "center": 3e-4, "once": 3e-4}
    rows[0].results["metrics"]["select/accuracy"] = math.nan
    assert tuned_rate([row for row in rows if row.arm == rows[0].arm]) != rows[0].lr


def test_a_comparison_is_the_crossed_analysis_of_paired_examples(tmp_path: Path) -> None:
    rows = sweep(tmp_path)
    table = ExampleTable("trec")
    (found,) = compare("trec", rows, "identity", table, TUNED, {"identity": 3e-4, "center": 1e-4})
    assert isinstance(found, Comparison)
    pick = {(row.arm, row.seeds[0], row.lr): table.values(row) for row in rows}
    d = np.stack([100 * (pick["center", s, 1e-4] - pick["identity", s, 3e-4]) for s in range(3)])  # type: ignore[operator]
    np.testing.assert_allclose(found.differences, d, rtol=1e-6)
    assert found.analysis is not None
    np.testing.assert_allclose(found.analysis.interval(), crossed(d).interval(), rtol=1e-6)
    assert found.mean == pytest.approx(-5.0)
    assert found.medians()[0] == pytest.approx(-5.0)


def test_failed_runs_count_and_are_left_out_of_the_second_analysis(tmp_path: Path) -> None:
    for seed in range(4):
        write_run(tmp_path, 0.8, seed=seed)
        write_run(tmp_path, 0.1 if seed == 2 else 0.8, seed=seed, normalizer="center")
    rows = read_rows([tmp_path])
    name_arms(rows)
    (found,) = compare("trec", rows, "identity", ExampleTable("trec"), TUNED, {"identity": 1e-4, "center": 1e-4})
    kept = found.without_failed()
    assert kept is not None
    assert kept.seeds == 3
    assert kept.mean == pytest.approx(0.0, abs=1e-6)
    assert found.mean == pytest.approx(-17.5)
    assert found.failed.sum(0).tolist() == [1, 0]
    assert found.failure_test()[0] == 1.0


def test_a_rate_at_the_end_of_its_grid_is_named(tmp_path: Path) -> None:
    best = {"identity": 1e-3, "soft": 1e-2, "hard": 1e-2, "mild": 1e-4}
    for normalizer, top in best.items():
        for lr in (1e-4, 1e-3, 1e-2):
            write_run(tmp_path, 0.9 if lr == top else 0.7, normalizer=normalizer, optimizer__lr=lr)
    write_run(tmp_path, 0.9, normalizer="once", optimizer__lr=1e-3)
    rows = read_rows([tmp_path])
    name_arms(rows)
    assert edges(rows, best | {"once": 1e-3}) == [
        "the largest learning rate, 0.01, is best for hard, soft: try larger ones, too",
        "the smallest learning rate, 0.0001, is best for mild: try smaller ones, too",
    ]
