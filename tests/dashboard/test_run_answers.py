"""The answers on a run's page against scikit-learn, and what is shown of many classes, of numbers and of texts."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from clsnorm.dashboard.__main__ import main
from clsnorm.dashboard.report_texts import report_texts
from clsnorm.dashboard.run_answers import BINS, MOST, RunAnswers, describe_answers
from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.report.sweeps.example_table import Predicted
from clsnorm.run_folder import RunFolder

NAMES = ["red", "green", "blue"]


def answers(classes: int = 3, rows: int = 200) -> Predicted:
    draw = np.random.default_rng(0)
    values = draw.dirichlet(np.ones(classes), rows)
    labels = np.where(draw.random(rows) < 0.6, values.argmax(1), draw.integers(0, classes, rows))
    return Predicted(draw.permutation(rows) + 1000, labels, values)


def test_scores_of_classes_are_those_of_scikit_learn() -> None:
    found = answers()
    shown = describe_answers(found, NAMES)
    assert shown is not None
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(found.labels, found.classes)
    assert [row["name"] for row in shown.classes] == NAMES
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("rows", rows)):
        np.testing.assert_allclose([row[name] for row in shown.classes], expected)
    matrix = metrics.confusion_matrix(found.labels, found.classes)
    assert [row["counts"] for row in shown.matrix] == matrix.tolist()
    exact = stats.binomtest(int(matrix[0, 0]), int(rows[0])).proportion_ci(method="exact")
    assert shown.classes[0]["interval"] == pytest.approx((exact.low, exact.high))


def test_bins_hold_all_rows_and_give_the_calibration_error() -> None:
    found = answers()
    shown = describe_answers(found, NAMES)
    assert shown is not None
    assert sum(row["rows"] for row in shown.bins) == 200
    sure = found.values.max(1)
    for row in shown.bins:
        chosen = (sure >= row["low"]) & (sure < row["high"] + (row["high"] == 1))
        assert row["rows"] == chosen.sum()
        assert row["accuracy"] == pytest.approx((found.classes == found.labels)[chosen].mean())
        assert row["confidence"] == pytest.approx(sure[chosen].mean())
        assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
    error = sum(row["rows"] * abs(row["accuracy"] - row["confidence"]) for row in shown.bins) / 200
    assert BINS == 10
    assert 0 < error < 1
    assert shown.figure.startswith("<svg")


def test_the_surest_mistakes_come_first_with_their_texts() -> None:
    found = answers()
    texts = {int(number): [f"text {number}", "a second one"] for number in found.ids}
    shown = describe_answers(found, NAMES, texts)
    assert shown is not None
    wrong = {
        int(i): v
        for i, v, s, t in zip(found.ids, found.values.max(1), found.classes, found.labels, strict=True)
        if s != t
    }
    expected = sorted(wrong, key=lambda number: -wrong[number])[:MOST]
    assert [row["id"] for row in shown.mistakes] == expected
    assert shown.mistakes[0]["text"] == f"text {expected[0]} — a second one"
    assert all(row["true"] != row["said"] for row in shown.mistakes)


def test_many_classes_are_shown_as_pairs() -> None:
    found = answers(classes=30, rows=600)
    shown = describe_answers(found, None)
    assert shown is not None
    assert shown.matrix == []
    matrix = metrics.confusion_matrix(found.labels, found.classes, labels=range(30))
    np.fill_diagonal(matrix, 0)
    assert [row["rows"] for row in shown.pairs] == sorted(matrix.ravel().tolist(), reverse=True)[:MOST]
    first = shown.pairs[0]
    i, j = int(first["true"]), int(first["said"])
    assert first["share"] == pytest.approx(matrix[i, j] / (found.labels == i).sum())


def test_a_class_without_rows_has_no_interval() -> None:
    found = Predicted(np.arange(4), np.array([0, 0, 1, 1]), np.eye(3)[[0, 1, 1, 1]])
    shown = describe_answers(found, NAMES)
    assert shown is not None
    assert shown.classes[2] == {"name": "blue", "rows": 0, "recall": 0.0, "precision": 0.0, "f1": 0.0, "interval": None}


def test_numbers_have_their_largest_errors_alone() -> None:
    found = Predicted(np.arange(3), np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 0.0]))
    shown = describe_answers(found, None)
    assert shown is not None
    assert [(row["id"], row["number"]) for row in shown.mistakes] == [(2, -3.0), (0, 0.5), (1, 0.0)]
    assert shown == RunAnswers(mistakes=shown.mistakes)


def test_predictions_that_are_missing_or_not_finite_are_not_described() -> None:
    found = answers()
    assert describe_answers(None, NAMES) is None
    assert (
        describe_answers(
            Predicted(found.ids, found.labels, np.where(found.ids[:, None] > 1000, found.values, np.nan)), NAMES
        )
        is None
    )


def test_texts_are_those_of_the_predictions(train: Any, tiny_data: SimpleNamespace, workspace: Path) -> None:
    run = train("callbacks=none", "trainer.max_epochs=1")
    texts = report_texts(run.folder)
    lines = [line.split("\t")[0] for line in Path(tiny_data.report).read_text().splitlines()[1:]]
    predictions = RunFolder(run.folder).read_predictions()
    assert predictions is not None
    assert sorted(texts) == sorted(predictions["example_id"].to_pylist())
    assert sorted(text for (text,) in texts.values()) == sorted(lines)
    assert main([str(run.folder)]) == 0
    page = (run.folder / "dashboard.html").read_text()
    assert "Answers on the report split" in page
    assert "Confusion: rows by true and predicted class" in page
    copy = workspace / "changed"
    shutil.copytree(run.folder, copy)
    results = RunFolder(copy).require_results()
    write_sealed(copy / "results.json", {**results, "source": {**results["source"], "sha256": "0" * 64}})
    with pytest.raises(InputError, match="to be that of the run, but it has changed since"):
        report_texts(copy)
