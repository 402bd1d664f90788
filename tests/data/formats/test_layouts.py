"""Readers of aligned files, files a class or a text, JSON lists and XML: what was written comes back row for row."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import Alternatives, FilePerClass, FilePerText, JsonLists, LineAligned, Reader, XmlElements
from clsnorm.data.formats import layouts
from clsnorm.data.formats.readers import CHUNK, Column
from clsnorm.errors import InputError

# Whatever can stand in a line: also quotes, tabs, and what Python, but no file here, takes for a line end.
LINE = st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=["Cs"]), max_size=12)
CELL = LINE.filter(lambda text: "\t" not in text)
# XML has no control characters; \x85 and \u2028 are not among those.
XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12)
QUICK = settings(max_examples=50, deadline=None)


def read(reader: Reader, files: Sequence[Path], columns: Sequence[Column]) -> tuple[list[tuple[Any, ...]], list[int]]:
    rows: list[tuple[Any, ...]] = []
    lines: list[int] = []
    for chunk in reader.read(files, columns, shown=[path.name for path in files]):
        assert 0 < len(chunk.lines) <= CHUNK
        assert not chunk.drops
        rows += zip(*(chunk.values[column] for column in columns), strict=True)
        lines += chunk.lines
    return rows, lines


def write_lines(path: Path, lines: Sequence[str], encoding: str = "utf-8", end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


@QUICK
@given(rows=st.lists(st.tuples(LINE, CELL, CELL), max_size=30), end=st.sampled_from(["\n", "\r\n"]))
def test_line_aligned_files_come_back(rows: list[tuple[str, str, str]], end: str) -> None:
    rows = [("first", "a", "b"), *rows]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            write_lines(Path(folder, "text"), [text for text, _, _ in rows], end=end),
            write_lines(Path(folder, "labels"), [f"{a}\t{b}" for _, a, b in rows], end=end),
        ]
        found, lines = read(LineAligned(columns=[["text"], ["a", "b"]]), files, ["b", "text", "a"])
    assert found == [(b, text, a) for text, a, b in rows]
    assert lines == list(range(1, len(rows) + 1))


@QUICK
@given(texts=st.lists(LINE, max_size=20), others=st.lists(LINE, max_size=20))
def test_a_file_a_class_comes_back(texts: list[str], others: list[str]) -> None:
    texts, others = ["one", *texts], ["two", *others]
    with tempfile.TemporaryDirectory() as folder:
        files = [write_lines(Path(folder, "neg"), texts), write_lines(Path(folder, "pos"), others)]
        found, lines = read(FilePerClass(classes=["bad", "good"]), files, ["text", "label"])
    assert found == [*((text, "bad") for text in texts), *((text, "good") for text in others)]
    assert lines == [*range(1, len(texts) + 1), *range(1, len(others) + 1)]


@QUICK
@given(texts=st.lists(st.tuples(st.sampled_from(["rec.autos", "sci.med"]), st.lists(LINE, max_size=4)), min_size=1))
def test_a_file_a_text_comes_back(texts: list[tuple[str, list[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (label, lines) in enumerate(texts):
            Path(folder, label).mkdir(exist_ok=True)
            files.append(write_lines(Path(folder, label, str(number)), ["first", *lines]))
        chunks = list(FilePerText().read(files, ["label", "text"], shown=[str(path) for path in files]))
    found = [row for chunk in chunks for row in zip(chunk.values["label"], chunk.values["text"], strict=True)]
    assert found == [(label, "\n".join(["first", *lines])) for label, lines in texts]
    assert {chunk.shown for chunk in chunks} == {folder}


@QUICK
@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=20), more=st.lists(st.tuples(st.text(), st.text())))
def test_json_lists_come_back(rows: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.json")
        path.write_text(json.dumps({"train": rows, "val": [["x", "y"]], "oos": more}))
        reader = JsonLists(lists=["oos", "train"], columns=["text", "label"])
        found, lines = read(reader, [path], ["label", "text"])
    assert found == [(label, text) for text, label in [*more, *rows]]
    assert lines == [*range(1, len(more) + 1), *range(1, len(rows) + 1)]


@QUICK
@given(items=st.lists(st.tuples(XML_TEXT, XML_TEXT, XML_TEXT, st.sampled_from("12")), min_size=1, max_size=20))
def test_alternatives_of_xml_items_come_back(items: list[tuple[str, str, str, str]]) -> None:
    root = ElementTree.Element("corpus")
    for premise, one, two, right in items:
        element = ElementTree.SubElement(root, "item", {"right": right})
        for tag, text in (("p", premise), ("a1", one), ("a2", two)):
            ElementTree.SubElement(element, tag).text = text
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items.xml")
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        items_reader = XmlElements(element="item")
        plain, numbers = read(items_reader, [path], ["p", "a1", "a2", "right"])
        reader = Alternatives(reader=items_reader, alternatives=["a1", "a2"], answer="right")
        found, lines = read(reader, [path], ["p", "alternative", "chosen"])
    assert plain == items
    assert numbers == list(range(1, len(items) + 1))
    expected = [
        (premise, text, str(int(right == number)))
        for premise, one, two, right in items
        for number, text in (("1", one), ("2", two))
    ]
    assert found == expected
    assert lines == [number for number in numbers for _ in range(2)]


def test_long_files_come_in_chunks(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "text", [f"text {i}" for i in range(2 * CHUNK + 1)])
    labels = write_lines(tmp_path / "label", [str(i % 2) for i in range(2 * CHUNK + 1)])
    reader = LineAligned(columns=[["text"], ["label"]])
    chunks = list(reader.read([texts, labels], ["text"], shown=["text", "label"]))
    assert [len(chunk.lines) for chunk in chunks] == [CHUNK, CHUNK, 1]
    assert chunks[2].values["text"] == [f"text {2 * CHUNK}"]


def test_alternatives_of_a_full_chunk_are_two_chunks(tmp_path: Path) -> None:
    items = "".join(f'<item right="1"><a1>{i}</a1><a2>no</a2></item>' for i in range(CHUNK))
    (tmp_path / "items.xml").write_text(f"<corpus>{items}</corpus>")
    reader = Alternatives(reader=XmlElements(element="item"), alternatives=["a1", "a2"], answer="right")
    rows, _ = read(reader, [tmp_path / "items.xml"], ["alternative"])
    assert len(rows) == 2 * CHUNK


def test_the_head_of_a_message_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "sci.med").mkdir()
    path = write_lines(tmp_path / "sci.med" / "58045", ["From: a@b.c", "Newsgroups: sci.med", "", "Hello", "", "there"])
    reader = FilePerText(head=False, encoding="latin-1")
    (chunk,) = reader.read([path], ["text", "label"], shown=[str(path)])
    assert chunk.values == {"text": ["Hello\n\nthere"], "label": ["sci.med"]}


def test_other_encodings_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "mr", ["wait… what", "naïve"], encoding="cp1252")
    rows, _ = read(FilePerClass(classes=["bad"], encoding="cp1252"), [path], ["text"])
    assert rows == [("wait… what",), ("naïve",)]
    with pytest.raises(InputError, match=r"mr, line 1: byte 0x85 is not utf-8"):
        read(FilePerClass(classes=["bad"]), [path], ["text"])


@pytest.mark.parametrize("layout", ["lines", "class"])
def test_groups_of_files_follow_each_other(tmp_path: Path, layout: str) -> None:
    content = {"a": ["x", "y"], "al": ["1", "0"], "b": ["z"], "bl": ["1"]}
    files = [write_lines(tmp_path / name, lines) for name, lines in content.items()]
    if layout == "lines":
        rows, lines = read(LineAligned(columns=[["text"], ["label"]]), files, ["text", "label"])
        assert rows == [("x", "1"), ("y", "0"), ("z", "1")]
        assert lines == [1, 2, 1]
    else:
        rows, _ = read(FilePerClass(classes=["bad", "good"]), files, ["text", "label"])
        assert [label for _, label in rows] == ["bad", "bad", "good", "good", "bad", "good"]
    with pytest.raises(InputError, match=r"or a multiple of that, but got 3: a, al, b"):
        read(LineAligned(columns=[["text"], ["label"]]), files[:3], ["text"])


def test_a_shorter_file_is_refused(tmp_path: Path) -> None:
    texts, labels = write_lines(tmp_path / "t", ["a", "b", "c"]), write_lines(tmp_path / "l", ["0", "1"])
    with pytest.raises(InputError, match=r"as many lines in each of t, l, but l ends before line 3"):
        read(LineAligned(columns=[["text"], ["label"]]), [texts, labels], ["text"])


@pytest.mark.parametrize("chunk", [CHUNK, 1])
def test_a_line_with_other_cells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(layouts, "CHUNK", chunk)
    texts, labels = write_lines(tmp_path / "t", ["a\tb", "c"]), write_lines(tmp_path / "l", ["0", "1"])
    with pytest.raises(InputError, match=r"Expected 2 cells a line in t, but found line 2: 1 cells"):
        read(LineAligned(columns=[["one", "two"], ["label"]]), [texts, labels], ["two"])


@pytest.mark.parametrize(
    "reader",
    [LineAligned(columns=[["text"], ["label"]]), FilePerClass(classes=["bad", "good"])],
    ids=["lines", "class"],
)
def test_the_number_of_files_must_fit(reader: Reader, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", ["a"])
    with pytest.raises(InputError, match=r"Expected 2 files a split.*but got 1: t\. List them in the split"):
        read(reader, [path], ["text"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": [["a", "b"]], "val": []}', r"Expected column 'trian' in data.json.*Did you mean 'train'"),
        ('{"trian": [["a", "b"], ["c"], "d"]}', r"row to list text, label in data.json \(trian\).*row 2.*row 3: 'd'"),
        ('{"trian": {"a": "b"}}', r"Expected each row to list text, label"),
        ('["a"]', r"Expected one JSON object in data.json, but got a list"),
        ('{"trian":\n [}', r"data.json, line 2: Expecting value"),
    ],
)
def test_faulty_json_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read(JsonLists(lists=["trian"], columns=["text", "label"]), [tmp_path / "data.json"], ["text"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<c><item right='1'><a1>x</a1></item></c>", r"Expected a1, a2, right in each item in x.xml.*item 1: no a2"),
        (
            "<c><item right='3'><a1>x</a1><a2>y</a2></item></c>",
            r"Expected right to be one of 1, 2 in x.xml.*item 1: '3'",
        ),
        ("<c><other/></c>", r"Expected elements 'item' in x.xml, but it has none"),
        ("<c><item>", r"x.xml: no element found"),
    ],
)
def test_faulty_xml_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(content)
    reader = Alternatives(reader=XmlElements(element="item"), alternatives=["a1", "a2"], answer="right")
    with pytest.raises(InputError, match=message):
        read(reader, [tmp_path / "x.xml"], ["alternative"])


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", ["a"])
    with pytest.raises(InputError, match=r"Expected column 'txt' in t, but it has: text, label. Did you mean 'text'"):
        read(FilePerClass(classes=["bad"]), [path], ["txt"])
