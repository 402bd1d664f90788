"""Warnings about classes that are probably none."""

from __future__ import annotations

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clsnorm.config.spelling import same
from clsnorm.data.rows.look_alikes import label_warnings, look_alikes, missing_words


def test_labels_that_look_the_same_are_listed_with_their_rows() -> None:
    (warning,) = label_warnings({"Pos": 3, "neg": 9, "pos": 12})
    assert "'Pos' (3) and 'pos' (12)" in warning
    assert "data.normalize_labels=true" in warning
    assert "neg" not in warning


def test_labels_that_cannot_be_told_apart_are_escaped() -> None:
    (warning,) = label_warnings({"caf\u00e9": 1, "cafe\u0301": 2, "CAF\u00c9": 3})
    assert r"'caf\xe9' (1) and 'cafe\u0301' (2) and 'CAFÉ' (3)" in warning


@pytest.mark.parametrize(
    "words", [["NA"], ["-"], ["nan", "None", "NULL"], ["#N/A", "<NA>", "(null)", "?"], ["n/a", "N.A.", "--", "."]]
)
def test_the_advice_for_missing_labels_can_be_typed_and_means_them(words: list[str]) -> None:
    (warning,) = label_warnings(dict.fromkeys([*words, "pos", "neg"], 4))
    assert all(f"{word!r} (4)" in warning for word in words)
    found = re.search(r"'(data\.drop_labels=\[.*?\])'", warning)
    assert found
    value = OverridesParser.create().parse_override(found[1]).value()
    assert isinstance(value, list)
    assert all(same(typed, word) for typed, word in zip(value, words, strict=True))


def test_minus_one_is_suspicious_only_among_three_other_ids() -> None:
    assert missing_words(["-1", "0", "1", "2"]) == ["-1"]
    assert missing_words(["-1", "0", "1"]) == []


def test_usual_names_raise_no_warning() -> None:
    names = ["neg", "pos", "no", "not sure", "1", "2", "nano", "na\u00efve"]
    assert look_alikes(names) == []
    assert list(label_warnings(dict.fromkeys(names, 1))) == []
