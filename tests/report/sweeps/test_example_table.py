from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sweep_folders import EXAMPLES, write_run

from clsnorm.errors import InputError
from clsnorm.report.sweeps.example_table import ExampleTable, Predicted, metric_of, read_answers
from clsnorm.report.sweeps.run_row import read_rows


def test_values_have_the_run_s_score_as_mean(tmp_path: Path) -> None:
    write_run(tmp_path, 0.8)
    (row,) = read_rows([tmp_path])
    values = ExampleTable("trec").values(row)
    assert values is not None
    assert values.shape == (EXAMPLES,)
    assert values.mean() == pytest.approx(row.score)
    assert metric_of(row)["average"] == "micro"


def test_other_examples_are_refused(tmp_path: Path) -> None:
    first, second = write_run(tmp_path, seed=0), write_run(tmp_path, seed=1)
    frame = pd.read_parquet(second / "predictions.parquet")
    (second / "predictions.parquet").unlink()
    frame.assign(example_id=frame.example_id + 1).to_parquet(second / "predictions.parquet")
    rows = {row.path: row for row in read_rows([tmp_path])}
    table = ExampleTable("trec")
    assert table.values(rows[first]) is not None
    with pytest.raises(InputError, match=r"report examples of .* are not those"):
        table.values(rows[second])


def test_predictions_that_do_not_give_the_score_are_not_used(tmp_path: Path) -> None:
    write_run(tmp_path, 0.8)
    (row,) = read_rows([tmp_path])
    row.results["metrics"]["report/accuracy"] = 0.9
    table = ExampleTable("trec")
    assert table.values(row) is None
    assert "not the stored 0.9000" in table.note


def test_a_run_without_predictions_has_no_values(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "predictions.parquet").unlink()
    (row,) = read_rows([tmp_path])
    assert read_answers(row.path) is None
    assert ExampleTable("trec").values(row) is None


def test_undefined_predictions_are_the_most_frequent_answer() -> None:
    values = np.array([[0.9, 0.1], [np.nan, np.nan], [np.nan, 0.2]])
    assert Predicted(np.arange(3), np.array([1, 1, 0]), values).classes.tolist() == [0, 1, 1]
