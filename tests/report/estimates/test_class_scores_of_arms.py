from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweep_folders import EXAMPLES, write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.estimates.class_scores_of_arms import (
    class_lines,
    class_scores,
    class_tables,
    confusion,
    confusion_lines,
)


def test_counts_and_scores_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    labels, answers = random.integers(0, 4, 60), random.integers(0, 3, 60)  # class 3 is never predicted
    counts = confusion(labels, answers, 4)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, answers, labels=range(4)))
    expected = metrics.precision_recall_fscore_support(labels, answers, labels=range(4), zero_division=0)
    found = class_scores(counts)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        np.testing.assert_allclose(found[name], values)


def test_lines_are_means_over_seeds_with_the_gain_and_the_worst_confusion(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, classes=3, seed=seed, wrong=range(0, 30, 3))  # 10 of class 0 are taken for class 1
        write_run(tmp_path, 1.0, classes=3, seed=seed, normalizer="center")
    tables = class_tables(answer([tmp_path], Options(draws=0)).tuned())
    lines = {(line["arm"], line["class"]): line for line in class_lines(tables, "identity")}
    first = lines["identity", "0"]
    assert (first["rows"], first["recall"], first["precision"]) == (40, pytest.approx(75), 100)
    assert (first["confused_with"], first["confused"]) == ("1", 0.25)
    assert (first["f1_sd"], first["f1_gain"]) == (0, None)
    assert lines["center", "0"]["f1_gain"] == pytest.approx(100 - first["f1"])
    assert lines["center", "1"]["confused_with"] == ""
    counts = confusion_lines(tables)
    assert sum(line["rows"] for line in counts) == 2 * EXAMPLES
    assert next(line["rows"] for line in counts if (line["label"], line["predicted"]) == ("0", "1")) == 0  # of center
