"""Writers of answers: what they write is read back by other libraries."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clsnorm.errors import InputError
from clsnorm.experiment.prediction import Prediction
from clsnorm.predict.answer_files import (
    AnswerWriter,
    CellWriter,
    LineWriter,
    TableWriter,
    answers,
    joined,
    writer_of,
    writing_answers,
)

CLASSES = Prediction(np.array([[0.0, 1.0], [np.nan, 0.0]], np.float32), ["no", "yes"])
NUMBERS = Prediction(np.array([[1.5], [np.inf]], np.float32), None)


def test_the_columns_of_answers() -> None:
    found = answers(CLASSES)
    assert list(found) == ["predicted", "probability", "p_no", "p_yes"]
    assert found["predicted"] == ["yes", None]
    assert np.float32(found["p_yes"][0]) == np.float32(1 / (1 + np.exp(-1)))
    assert found["probability"] == [*found["p_yes"][:1], None]
    assert answers(NUMBERS) == {"value": [1.5, None]}
    with pytest.raises(InputError, match="Rename the column"):
        joined({"value": [1, 2]}, NUMBERS)


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_each_format_is_read_back(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    rows = joined({"text": ['a, "b"\tc', "d\ne"]}, CLASSES)
    with writing_answers(path, form) as writer:
        assert isinstance(writer, AnswerWriter)
        writer.add(rows)
        writer.add(rows)
    readers = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    frame = readers[form](path)
    assert list(frame.columns) == list(rows)
    assert frame.text.tolist() == rows["text"] * 2
    assert frame.p_yes.tolist()[::2] == rows["p_yes"][:1] * 2
    assert frame.predicted.isna().tolist() == [False, True] * 2


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with writing_answers(tmp_path / "a.parquet", "parquet") as writer:
            writer.add({"id": [1]})
            writer.add({"id": ["one"]})

    with pytest.raises(InputError, match="one type"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_writer_of_each_format(tmp_path: Path) -> None:
    assert isinstance(writer_of(io.StringIO(), "jsonl"), LineWriter)
    assert isinstance(writer_of(io.StringIO(), "lines"), CellWriter)
    TableWriter(tmp_path / "a.parquet").close()  # of no rows
