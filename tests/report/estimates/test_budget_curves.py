from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from sweep_folders import write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.estimates.budget_curves import curve_lines, expected_best, expected_of_chosen, profile_lines


def test_the_expected_best_is_the_mean_over_all_subsets() -> None:
    scores = np.array([0.3, 0.9, 0.5, 0.7])
    for k in (1, 2, 3, 4):
        assert expected_best(scores, k) == pytest.approx(np.mean([max(s) for s in itertools.combinations(scores, k)]))


def test_the_expected_score_of_the_chosen_run_is_the_mean_over_all_subsets_also_with_ties() -> None:
    select, report = np.array([0.5, 0.7, 0.7, 0.2, -math.inf]), np.array([3.0, 1.0, 4.0, 9.0, 0.0])
    for k in (1, 2, 3, 5):
        chosen = []
        for places in itertools.combinations(range(5), k):
            best = max(select[list(places)])
            chosen.append(np.mean([report[place] for place in places if select[place] == best]))
        assert expected_of_chosen(select, report, k) == pytest.approx(np.mean(chosen))


def test_curves_are_of_all_rates_and_profiles_of_the_tuned_one(tmp_path: Path) -> None:
    for seed in range(2):
        for lr, accuracy in ((1e-4, 0.5), (3e-4, 0.9)):
            write_run(tmp_path, accuracy, seed=seed, optimizer__lr=lr)
            write_run(tmp_path, accuracy - 0.1, seed=seed, optimizer__lr=lr, normalizer="center")
    found = answer([tmp_path], Options(draws=0))
    curve = {(line["arm"], line["k"]): line for line in curve_lines(found.by_arm())}
    assert curve["identity", 1]["chosen_on_select"] == pytest.approx(70)
    assert curve["identity", 3]["chosen_on_select"] == pytest.approx(90)
    assert curve["center", 4]["best_on_report"] == pytest.approx(80)
    profile = profile_lines(found.tuned())
    shares = {arm: [line["share"] for line in profile if line["arm"] == arm] for arm in ("identity", "center")}
    assert shares["identity"][:-1] == [1.0] * 100
    assert shares["center"][0] == 0.0  # the lowest score is not above itself
    assert profile_lines({}) == []
