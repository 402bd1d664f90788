"""Splits of several files, aligned, per class or per text: rows round trip."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from file_rows import read_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import FilePerClass, FilePerText, LineAligned, Reader
from clsnorm.data.formats import reader as base
from clsnorm.data.formats.reader import CHUNK
from clsnorm.errors import InputError

# All that a line may contain: also quotes, tabs, and characters that only Python treats as line ends.
LINE = st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=["Cs"]), max_size=12)
CELL = LINE.filter(lambda text: "\t" not in text)
QUICK = settings(max_examples=50, deadline=None)


def write_lines(path: Path, lines: Sequence[str], encoding: str = "utf-8", end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


@QUICK
@given(rows=st.lists(st.tuples(LINE, CELL, CELL), max_size=30), end=st.sampled_from(["\n", "\r\n"]))
def test_line_aligned_files_round_trip(rows: list[tuple[str, str, str]], end: str) -> None:
    rows = [("first", "a", "b"), *rows]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            write_lines(Path(folder, "text"), [text for text, _, _ in rows], end=end),
            write_lines(Path(folder, "labels"), [f"{a}\t{b}" for _, a, b in rows], end=end),
        ]
        found, lines = read_rows(LineAligned(columns=[["text"], ["a", "b"]]), files, ["b", "text", "a"])
    assert found == [(b, text, a) for text, a, b in rows]
    assert lines == list(range(1, len(rows) + 1))


@QUICK
@given(texts=st.lists(LINE, max_size=20), others=st.lists(LINE, max_size=20))
def test_one_file_per_class_round_trip(texts: list[str], others: list[str]) -> None:
    texts, others = ["one", *texts], ["two", *others]
    with tempfile.TemporaryDirectory() as folder:
        files = [write_lines(Path(folder, "neg"), texts), write_lines(Path(folder, "pos"), others)]
        found, lines = read_rows(FilePerClass(classes=["bad", "good"]), files, ["text", "label"])
    assert found == [*((text, "bad") for text in texts), *((text, "good") for text in others)]
    assert lines == [*range(1, len(texts) + 1), *range(1, len(others) + 1)]


@QUICK
@given(texts=st.lists(st.tuples(st.sampled_from(["rec.autos", "sci.med"]), st.lists(LINE, max_size=4)), min_size=1))
def test_one_file_per_text_round_trip(texts: list[tuple[str, list[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (label, lines) in enumerate(texts):
            Path(folder, label).mkdir(exist_ok=True)
            files.append(write_lines(Path(folder, label, str(number)), ["first", *lines]))
        chunks = list(FilePerText().read(files, ["label", "text"], shown=[str(path) for path in files]))
    found = [row for chunk in chunks for row in zip(chunk.columns["label"], chunk.columns["text"], strict=True)]
    assert found == [(label, "\n".join(["first", *lines])) for label, lines in texts]
    assert {chunk.shown for chunk in chunks} == {folder}


def test_long_files_are_read_in_chunks(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "text", [f"text {i}" for i in range(2 * CHUNK + 1)])
    labels = write_lines(tmp_path / "label", [str(i % 2) for i in range(2 * CHUNK + 1)])
    reader = LineAligned(columns=[["text"], ["label"]])
    chunks = list(reader.read([texts, labels], ["text"], shown=["text", "label"]))
    assert [len(chunk.lines) for chunk in chunks] == [CHUNK, CHUNK, 1]
    assert chunks[2].columns["text"] == [f"text {2 * CHUNK}"]


def test_the_head_of_a_message_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "sci.med").mkdir()
    path = write_lines(tmp_path / "sci.med" / "58045", ["From: a@b.c", "Newsgroups: sci.med", "", "Hello", "", "there"])
    reader = FilePerText(head=False, encoding="latin-1")
    (chunk,) = reader.read([path], ["text", "label"], shown=[str(path)])
    assert chunk.columns == {"text": ["Hello\n\nthere"], "label": ["sci.med"]}


def test_other_encodings_are_read_rows(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "mr", ["wait… what", "naïve"], encoding="cp1252")
    rows, _ = read_rows(FilePerClass(classes=["bad"], encoding="cp1252"), [path], ["text"])
    assert rows == [("wait… what",), ("naïve",)]
    with pytest.raises(InputError, match=r"mr, line 1: byte 0x85 is not utf-8"):
        read_rows(FilePerClass(classes=["bad"]), [path], ["text"])


@pytest.mark.parametrize("layout", ["lines", "class"])
def test_groups_of_files_are_read_in_order(tmp_path: Path, layout: str) -> None:
    content = {"a": ["x", "y"], "al": ["1", "0"], "b": ["z"], "bl": ["1"]}
    files = [write_lines(tmp_path / name, lines) for name, lines in content.items()]
    if layout == "lines":
        rows, lines = read_rows(LineAligned(columns=[["text"], ["label"]]), files, ["text", "label"])
        assert rows == [("x", "1"), ("y", "0"), ("z", "1")]
        assert lines == [1, 2, 1]
    else:
        rows, _ = read_rows(FilePerClass(classes=["bad", "good"]), files, ["text", "label"])
        assert [label for _, label in rows] == ["bad", "bad", "good", "good", "bad", "good"]
    with pytest.raises(InputError, match=r"or a multiple of that, but got 3: a, al, b"):
        read_rows(LineAligned(columns=[["text"], ["label"]]), files[:3], ["text"])


def test_a_shorter_file_is_refused(tmp_path: Path) -> None:
    texts, labels = write_lines(tmp_path / "t", ["a", "b", "c"]), write_lines(tmp_path / "l", ["0", "1"])
    with pytest.raises(InputError, match=r"as many lines in each of t, l, but l ends before line 3"):
        read_rows(LineAligned(columns=[["text"], ["label"]]), [texts, labels], ["text"])


@pytest.mark.parametrize("chunk", [CHUNK, 1])
def test_a_line_with_another_number_of_cells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(base, "CHUNK", chunk)
    texts, labels = write_lines(tmp_path / "t", ["a\tb", "c"]), write_lines(tmp_path / "l", ["0", "1"])
    with pytest.raises(InputError, match=r"Expected 2 cells per line in t, but found line 2: 1 cells"):
        read_rows(LineAligned(columns=[["one", "two"], ["label"]]), [texts, labels], ["two"])


@pytest.mark.parametrize(
    "reader",
    [LineAligned(columns=[["text"], ["label"]]), FilePerClass(classes=["bad", "good"])],
    ids=["lines", "class"],
)
def test_the_number_of_files_must_fit(reader: Reader, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", ["a"])
    with pytest.raises(InputError, match=r"Expected 2 files per split.*but got 1: t\. List them in the split"):
        read_rows(reader, [path], ["text"])


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", ["a"])
    with pytest.raises(InputError, match=r"Expected column 'txt' in t, but it has: text, label. Did you mean 'text'"):
        read_rows(FilePerClass(classes=["bad"]), [path], ["txt"])
