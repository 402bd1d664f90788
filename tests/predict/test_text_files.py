"""Files of texts to predict: every format, with and without labels."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from clsnorm.errors import InputError
from clsnorm.predict.text_files import TextFile, open_texts

TEXTS = ['good, "very" good', "bad and dull", "a second\nline", "fine film of the year", "sad and poor acting"]


def written(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    return path


def opened(path: Path, **options: object) -> TextFile:
    return open_texts(path, **{"form": None, "columns": [], "usual": [], "pairs": False, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("alone", [True, False])
def test_each_format_keeps_its_rows(tmp_path: Path, extension: str, alone: bool) -> None:
    frame = pd.DataFrame({"text": TEXTS} | ({} if alone else {"id": list("abcde")}))
    found = opened(written(tmp_path / f"a.{extension}", frame))
    assert found.texts == ["text"]
    (rows,) = found.chunks()
    assert rows == frame.to_dict("list")
    assert found.columns_of(rows) == [TEXTS]


def test_plain_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one, two\n\nthree\n")
    (rows,) = opened(path).chunks()
    assert rows == {"text": ["one, two", "", "three"]}
    path.write_text("one\ttwo\n")
    found = opened(path, pairs=True)
    (rows,) = found.chunks()
    assert found.columns_of(rows) == [["one"], ["two"]]
    path.write_text("one\n")
    with pytest.raises(InputError, match="line 1 has not"):
        list(opened(path, pairs=True).chunks())


def test_columns_by_the_user_by_the_run_and_by_their_names(tmp_path: Path) -> None:
    frame = pd.DataFrame({"premise": TEXTS, "hypothesis": TEXTS[::-1], "title": TEXTS, "label": list("ababa")})
    path = written(tmp_path / "a.jsonl", frame)
    assert opened(path, pairs=True).texts == ["premise", "hypothesis"]
    assert opened(path, usual=["title"]).texts == ["title"]
    assert opened(path, columns=["premise"], usual=["title"]).texts == ["premise"]
    with pytest.raises(InputError, match="one text column"):
        opened(path)
    with pytest.raises(InputError, match="'nothing'"):
        opened(path, columns=["nothing"])


def test_what_cannot_be_read_is_refused_in_words_of_the_command(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", pd.DataFrame({"a": TEXTS, "b": TEXTS}))
    with pytest.raises(InputError, match=r"Set columns="):
        opened(path)
    with pytest.raises(InputError, match="does not exist"):
        opened(tmp_path / "none.csv")
    with pytest.raises(InputError, match="Set format="):
        opened(tmp_path / "a.xlsx")
    path.write_text('{"text": 1}\n')
    with pytest.raises(InputError, match="Expected texts in column 'text'"):
        list(opened(path, columns=["text"]).chunks())
