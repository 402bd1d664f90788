"""The format of COPA: one row per alternative round trips, and faulty files are refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from file_rows import read_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import Alternatives, XmlElements
from clsnorm.data.formats.reader import CHUNK
from clsnorm.errors import InputError

# XML has no control characters; \x85 and \u2028 are none.
XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12)
QUICK = settings(max_examples=50, deadline=None)


@QUICK
@given(items=st.lists(st.tuples(XML_TEXT, XML_TEXT, XML_TEXT, st.sampled_from("12")), min_size=1, max_size=20))
def test_alternatives_of_xml_items_round_trip(items: list[tuple[str, str, str, str]]) -> None:
    root = ElementTree.Element("corpus")
    for premise, one, two, right in items:
        element = ElementTree.SubElement(root, "item", {"right": right})
        for tag, text in (("p", premise), ("a1", one), ("a2", two)):
            ElementTree.SubElement(element, tag).text = text
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items.xml")
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        items_reader = XmlElements(element="item")
        plain, numbers = read_rows(items_reader, [path], ["p", "a1", "a2", "right"])
        reader = Alternatives(reader=items_reader, alternatives=["a1", "a2"], answer="right")
        found, lines = read_rows(reader, [path], ["p", "alternative", "chosen"])
    assert plain == items
    assert numbers == list(range(1, len(items) + 1))
    expected = [
        (premise, text, str(int(right == number)))
        for premise, one, two, right in items
        for number, text in (("1", one), ("2", two))
    ]
    assert found == expected
    assert lines == [number for number in numbers for _ in range(2)]


def test_alternatives_of_a_full_chunk_are_two_chunks(tmp_path: Path) -> None:
    items = "".join(f'<item right="1"><a1>{i}</a1><a2>no</a2></item>' for i in range(CHUNK))
    (tmp_path / "items.xml").write_text(f"<corpus>{items}</corpus>")
    reader = Alternatives(reader=XmlElements(element="item"), alternatives=["a1", "a2"], answer="right")
    rows, _ = read_rows(reader, [tmp_path / "items.xml"], ["alternative"])
    assert len(rows) == 2 * CHUNK


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
        read_rows(reader, [tmp_path / "x.xml"], ["alternative"])
