"""Rows on disk: they are read back in order, and memory does not grow with the text."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data import Delimited, FilesSource
from clsnorm.data.formats import reader as formats
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.storage import store
from clsnorm.data.rows.texts import hashes, near_form
from clsnorm.data.tokens.tokenization import Tokens, write

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(folder: Path, path: Path, text: list[Any], **options: Any) -> tuple[Rows, dict[str, Any]]:
    source = FilesSource(splits={"train": str(path)}, text=text, label="label", reader=Delimited())
    defaults = {"regression": False, "labels": None, "sizes": {}, "max_empty": 1.0, "progress": False}
    record = store(source, Path(), folder, **{**defaults, **options})
    return Rows.load(folder, "train"), record


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r\ufeff"), max_size=9)


@QUICK
@given(
    rows=st.lists(st.tuples(CELL, CELL, st.sampled_from("ab")), max_size=20),
    pair=st.booleans(),
    chunk=st.integers(1, 9),
    data=st.data(),
)
def test_rows_round_trip(tmp_path: Path, rows: list[Any], pair: bool, chunk: int, data: Any) -> None:
    rows = [("first", "one", "b"), *rows, ("last", "two", "a")]
    path = tmp_path / "a.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [("x", "y", "label"), *rows]), encoding="utf-8")
    columns = ["x", "y"] if pair else ["x"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "CHUNK", chunk)
        found, record = stored(tmp_path, path, columns)
    full = [i for i, row in enumerate(rows) if all(cell.strip() for cell in row[: len(columns)])]
    assert found.ids.tolist() == full
    assert [record["labels"][i] for i in found.labels.tolist()] == [rows[i][2] for i in full]
    assert record["published"] == {"train": len(rows)}
    assert record["drops"].get("train", {}) == ({"empty text": len(rows) - len(full)} if len(full) < len(rows) else {})
    texts = [[rows[i][at] for i in full] for at in range(len(columns))]
    assert found.exact.tolist() == hashes(texts).tolist()
    assert found.near.tolist() == hashes(texts, near_form).tolist()
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, len(full) - 1)))), dtype=np.int64)
    for chosen in (wanted, np.arange(len(full))):
        parts = list(found.take(chosen).texts())
        assert [[text for part in parts for text in part[at]] for at in range(len(columns))] == [
            [column[i] for i in chosen] for column in texts
        ]


def peak(work: Callable[[], object]) -> int:
    """The peak number of bytes of Python objects and arrays."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    """Ten times the rows, 300 characters each: less than 100 bytes per row."""
    text = "word " * 60
    peaks = {}
    for rows in (20_000, 200_000):
        path = tmp_path / f"{rows}.tsv"
        with path.open("w") as file:
            file.write("text\tlabel\n")
            file.writelines(f"{text}{i}\t{'ab'[i % 2]}\n" for i in range(rows))
        (folder := tmp_path / f"rows{rows}").mkdir()
        peaks[rows] = peak(lambda path=path, folder=folder: stored(folder, path, ["text"]))
    assert peaks[200_000] - peaks[20_000] < 100 * 180_000


def test_memory_does_not_grow_with_the_tokens(tmp_path: Path, tokenizer: Any) -> None:
    peaks = {}
    for rows in (8_000, 40_000):
        (folder := tmp_path / str(rows)).mkdir()
        numbers = np.zeros(rows, np.int64)
        chunks = ([["one two three four five six seven eight nine ten"] * 2000] for _ in range(rows // 2000))
        peaks[rows] = peak(lambda f=folder, c=chunks, n=numbers: write(f, c, n, n, tokenizer, 32))
        assert len(Tokens.load(folder).token_ids) == 12 * rows
    assert peaks[40_000] - peaks[8_000] < 12 * 32_000  # one byte per token
