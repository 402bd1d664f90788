"""`Reader`, `FileReader` and `Table`: the parts common to all file formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from clsnorm.data import FileReader, Table
from clsnorm.data.formats.reader import Column, in_tables


class Lengths(FileReader):
    """One row per word, with its length; empty files have one dropped row."""

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        words = path.read_text().split()
        yield from in_tables(enumerate(zip(words, map(len, words), strict=True), 1), ["word", "length"], columns, shown)
        yield Table({column: [] for column in columns}, [], shown, drops={"end of file": 1})


def test_a_format_of_one_file_reads_several_in_order(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ba"]
    for path, text in zip(files, ("x yy", "zzz"), strict=True):
        path.write_text(text)
    found = list(Lengths().read(files, ["length", "word"], shown=["b", "a"]))
    assert [(table.shown, table.columns, table.lines) for table in found] == [
        ("b", {"length": [1, 2], "word": ["x", "yy"]}, [1, 2]),
        ("a", {"length": [3], "word": ["zzz"]}, [1]),
    ]
    assert [table.drops for table in found] == [{"end of file": 1}] * 2  # tables without rows are merged


def test_a_table_of_chosen_rows_and_texts() -> None:
    table = Table({"a": ["x", "y"], "b": [None, "w"]}, [2, 5], "a.tsv").keep([1])
    assert (table.columns, table.lines) == ({"a": ["y"], "b": ["w"]}, [5])
    pair = table.of_texts([["y"], ["w"]], [1])
    assert (pair.texts, pair.labels, pair.lines) == ([["y"], ["w"]], [1], [5])
