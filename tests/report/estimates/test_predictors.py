from __future__ import annotations

import math
from pathlib import Path

import pytest
from sweep_folders import record_gradients, record_start, write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.estimates.predictors import predictor_lines


def test_bias_goes_along_with_gains_over_sets_and_gradients_with_scores_over_runs(tmp_path: Path) -> None:
    for place, data in enumerate(["trec", "rte", "cola", "sst2", "mrpc", "qnli"]):
        for seed in range(5):
            run = write_run(tmp_path, 0.6, data=data, seed=seed)
            record_start(run, 0.3 + place / 10, 0.2)
            record_gradients(run, 1.0 + seed)
            run = write_run(tmp_path, 0.65 + place / 50 - seed / 100, data=data, seed=seed, normalizer="center")
            record_gradients(run, 2.0 + seed)
    lines = predictor_lines(answer([tmp_path], Options(draws=0)))
    by = {(line["over"], line["predictor"], line["outcome"]): line for line in lines}
    bias = by["data sets", "share of the mean", "gain"]
    assert (bias["rank_correlation"], bias["points"], bias["arm"]) == (pytest.approx(1.0), 6, "center")
    assert 0 < bias["low"] < 1
    assert bias["p"] == pytest.approx(2 / 720)
    assert math.isnan(by["data sets", "share of the 5 largest dimensions", "gain"]["rank_correlation"])
    runs = by["runs", "early gradient at h", "score"]
    assert (runs["points"], runs["units"]) == (60, 5)
    assert runs["rank_correlation"] < -0.5
    assert not [line for line in lines if line["outcome"].startswith("fail")]  # no run failed


def test_few_sets_have_no_correlation(tmp_path: Path) -> None:
    """With 3 sets it could only be -1, -0.5, 0.5 or 1."""
    for number, data in enumerate(("trec", "rte", "cola", "wic")):
        record_start(write_run(tmp_path, 0.6, data=data), 0.5 + 0.1 * number, 0.5)
        write_run(tmp_path, 0.6 + 0.05 * number, data=data, normalizer="center")
    assert predictor_lines(answer([tmp_path], Options(draws=0))) == []
