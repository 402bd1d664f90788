from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweep_folders import write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.estimates.summary_lines import overall_lines, prediction_lines


def test_lines_are_of_tuned_runs_and_the_baseline_has_no_gain_over_itself(tmp_path: Path) -> None:
    for seed in range(2):
        for lr, accuracy in ((1e-4, 0.7), (3e-4, 0.8)):
            write_run(tmp_path, accuracy, seed=seed, optimizer__lr=lr)
            write_run(tmp_path, accuracy + 0.1, seed=seed, optimizer__lr=lr, normalizer="center")
    found = answer([tmp_path], Options(draws=0))
    overall = {line["arm"]: line for line in overall_lines(found.tuned(), "identity")}
    assert (overall["center"]["improvement"], overall["center"]["rank"]) == (1.0, 1.0)
    assert np.isnan(overall["identity"]["improvement"])
    assert overall["identity"]["iqm"] == pytest.approx(80.0)
    predictions = {line["arm"]: line for line in prediction_lines(found.tuned())}
    assert predictions["identity"]["seeds"] == 2
    assert predictions["center"]["calibration_error"] == pytest.approx(0.9 - 0.7)
    assert 0 < predictions["center"]["flips"] <= 0.2


def test_metrics_that_are_better_when_smaller_are_not_summed_up(tmp_path: Path) -> None:
    for normalizer in ("identity", "center"):
        write_run(tmp_path, normalizer=normalizer, data__mode="min")
    assert overall_lines(answer([tmp_path], Options(draws=0)).tuned(), "identity") == []
