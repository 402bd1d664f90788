from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data.rows.leakage import Copies, leaked, leaked_rows, repeats, report
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.texts import hashes, near_form

TEXTS = st.lists(
    st.tuples(st.sampled_from(["a b", "A  b!", "ab", "a-b", "Ａ b", "", "…", "!", "c"]), st.integers(0, 2)), max_size=12
)


def rows(folder: Path, split: str, texts: list[tuple[str, int]]) -> Rows:
    column = [[text for text, _ in texts]]
    arrays = {"exact": hashes(column), "near": hashes(column, near_form), "starts": np.array([0, len(texts)])}
    for name, array in {**arrays, "labels": np.array([label for _, label in texts], np.int64)}.items():
        np.save(folder / f"{split}.{name}.npy", array)
    return Rows.load(folder, split)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(train=TEXTS.filter(bool), other=TEXTS)
def test_counts_equal_those_of_a_plain_search(
    tmp_path: Path, train: list[tuple[str, int]], other: list[tuple[str, int]]
) -> None:
    parts = {name: rows(tmp_path, name, texts) for name, texts in (("train", train), ("report", other))}
    found = report(parts)
    for name, form in (("exact", str), ("near", near_form)):
        seen = [(form(text), label) for text, label in train]
        looked = [(form(text), label) for text, label in other]
        texts = {text for text, _ in seen}
        assert found["report"][name] == sum(text in texts for text, _ in looked)
        assert found["report"][f"{name}_relabelled"] == sum(
            any(text == other and label != another for other, another in seen) for text, label in looked
        )
        assert found["train"][name] == len(seen) - len(texts)
        assert found["train"][f"{name}_relabelled"] == sum(
            any(text == other and label != another for other, another in seen) for text, label in seen
        )
    three = {**parts, "select": parts["train"], "train": parts["report"]}
    assert "near_select" not in found["report"]
    assert report(three)["report"]["near_select"] == found["report"]["near"]
    taken = {near_form(text) for text, _ in other}
    expected = [i for i, (text, _) in enumerate(train) if near_form(text) in taken]
    assert leaked_rows(parts["train"], [parts["report"]]).tolist() == expected


def test_copies_are_counted_exactly_and_nearly(tmp_path: Path) -> None:
    train = rows(tmp_path, "train", [("a b", 0), ("A b!", 0), ("c", 1), ("c", 0)])
    other = rows(tmp_path, "report", [("a b", 1), ("C", 1), ("new", 0)])
    assert repeats(train) == Copies(exact=1, exact_relabelled=2, near=2, near_relabelled=2)
    assert leaked(train, other) == Copies(exact=1, exact_relabelled=1, near=2, near_relabelled=2)
