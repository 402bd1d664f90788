"""The format of CLINC150: rows round trip, and faulty files are refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from file_rows import read_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import JsonLists
from clsnorm.errors import InputError

QUICK = settings(max_examples=50, deadline=None)


@QUICK
@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=20), more=st.lists(st.tuples(st.text(), st.text())))
def test_json_lists_round_trip(rows: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.json")
        path.write_text(json.dumps({"train": rows, "val": [["x", "y"]], "oos": more}))
        reader = JsonLists(lists=["oos", "train"], columns=["text", "label"])
        found, lines = read_rows(reader, [path], ["label", "text"])
    assert found == [(label, text) for text, label in [*more, *rows]]
    assert lines == [*range(1, len(more) + 1), *range(1, len(rows) + 1)]


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
        read_rows(JsonLists(lists=["trian"], columns=["text", "label"]), [tmp_path / "data.json"], ["text"])
