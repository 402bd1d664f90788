"""Inference of the text and label columns of a user's file."""

from __future__ import annotations

import pytest

from clsnorm.data.own_files.column_roles import Roles, infer_roles
from clsnorm.errors import InputError


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        (["text", "label"], ["text"], "label"),
        (["index", "sentence1", "sentence2", "label"], ["sentence1", "sentence2"], "label"),
        (["label", "hypothesis", "premise"], ["premise", "hypothesis"], "label"),
        (["Premise", "Hypothesis", "gold_label"], ["Premise", "Hypothesis"], "gold_label"),
        (["question", "passage", "idx", "label"], ["question", "passage"], "label"),
        (["id", "question", "class"], ["question"], "class"),
    ],
)
def test_roles_by_name(columns: list[str], text: list[str], label: str) -> None:
    roles = infer_roles({name: ["x"] for name in columns}, "a", text=None, label=None)
    assert roles == Roles(text, label)


def test_roles_by_content() -> None:
    texts = [f"a rather long text {i}" for i in range(20)]
    columns = {"id": [str(i) for i in range(20)], "utt": texts, "kind": ["a", "b"] * 10}
    roles = infer_roles(columns, "a", text=None, label=None)
    assert roles == Roles(["utt"], "kind")
    numbered = infer_roles({0: ["a", "b"] * 10, 1: texts}, "a", text=None, label=None)
    assert numbered == Roles([1], 0)
    assert infer_roles(columns, "a", text=["id"], label=None).label == "kind"
    for more, what in (({"again": texts}, "text"), ({"group": ["x", "y"] * 10}, "label")):
        with pytest.raises(InputError, match=rf"Cannot tell which column of a is the {what}: .*kind \(a\).*Set data."):
            infer_roles(columns | more, "a", text=None, label=None)


def test_dates_are_no_texts() -> None:
    dates = [f"2024-01-{day:02d} 10:00" for day in range(1, 21)]
    columns = {"when": dates, "note": ["fine", "bad"] * 10, "say": [f"so {day}" for day in range(20)]}
    with pytest.raises(InputError, match="which column of a is the text"):
        infer_roles(columns, "a", text=None, label="note")
    columns["say"] = [f"a rather long text {day}" for day in range(20)]
    assert infer_roles(columns, "a", text=None, label="note").text == ["say"]
