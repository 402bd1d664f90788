"""Classes that are probably mistakes: labels that look the same, and words for a missing label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clsnorm.config.spelling import fold
from clsnorm.data.formats.faults import names_of

# As pandas and other programs write a missing value; "-" is SNLI's label of a pair without a majority.
MISSING = {
    "-", "--", "?", ".", "na", "n/a", "nan", "-nan", "none", "null", "nil", "#n/a", "#na", "<na>", "n.a.", "(null)",
}  # fmt: skip
UNLABELLED = "-1"  # next to 0, 1 and 2, as in sets with private labels; next to 0 and 1 it may be a class


def look_alikes(names: Sequence[str]) -> list[list[str]]:
    """Returns the groups of names that differ only in case, spaces, Unicode form or in how a number is written."""
    groups: dict[Any, list[str]] = {}
    for name in names:
        groups.setdefault(fold(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def missing_words(names: Sequence[str]) -> list[str]:
    """Returns the names that are words for a missing label."""
    words = [name for name in names if str(fold(name)) in MISSING]
    return words + ([UNLABELLED] if {UNLABELLED, "0", "1", "2"} <= set(names) else [])


def label_warnings(counts: Mapping[str, int]) -> Iterator[str]:
    """Yields a warning for each kind of dubious class among those found in train.

    Args:
        counts: Rows of each class in train.
    """
    groups = look_alikes(list(counts))
    if groups:
        shown = names_of(" and ".join(f"{_shown(name, group)} ({counts[name]})" for name in group) for group in groups)
        yield (
            f"labels that look the same are different classes (rows of train): {shown}. Set "
            "data.normalize_labels=true to merge labels that differ only in case, spaces, Unicode form or the form of "
            "a number, or state data.labels to use them as they are"
        )
    words = missing_words(list(counts))
    if words:
        shown, listed = names_of(f"{word!r} ({counts[word]})" for word in words), ",".join(map(_typed, words))
        yield (
            f"labels that usually mean a missing label are classes (rows of train): {shown}. Set "
            f"'data.drop_labels=[{listed}]' to drop these rows, or state data.labels to use them as they are"
        )


def _shown(name: str, group: Sequence[str]) -> str:
    """Returns a name in quotes; with escapes if another one of its group looks exactly like it."""
    return ascii(name) if [_drawn(other) for other in group].count(_drawn(name)) > 1 else repr(name)


def _drawn(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")


def _typed(word: str) -> str:
    """Returns a word as it is typed in a list on the command line."""
    return word if re.fullmatch(r"[\w./-]+", word) else f'"{word}"'
