"""Which columns of a user's file are the texts and the label, if the file allows only one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from clsnorm.config.spelling import spell
from clsnorm.data.formats.faults import MOST_COLUMNS, names_of
from clsnorm.data.formats.reader import Column
from clsnorm.errors import InputError

PAIRS = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("context", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
)
TEXTS = (
    "text",
    "sentence",
    "review",
    "content",
    "tweet",
    "utterance",
    "document",
    "comment",
    "message",
    "body",
    "question",
    "query",
)
LABELS = ("label", "labels", "class", "category", "target", "sentiment", "intent", "gold_label", "score", "y")
FEW = 0.5  # a label column has fewer different values than this share of its rows, a text column more
LONG, SHORT = 40, 8  # characters: the longest label, the shortest mean of a text column

Columns = Mapping[Column, Sequence[Any]]  # each column with some of its cells


@dataclass(frozen=True)
class Roles:
    """The text columns, one or two, and the label column."""

    text: list[Column | list[Column]]
    label: Column


def is_known(name: str) -> bool:
    """Is this a usual name of a text or label column?"""
    return name.strip().lower() in {*TEXTS, *LABELS, *(one for pair in PAIRS for one in pair)}


def infer_roles(
    columns: Columns, shown: str, *, text: Sequence[Column | list[Column]] | None, label: Column | None
) -> Roles:
    """Returns the text and label columns: those given, else by their names, else by their content.

    A label column has few different short values, a text column many different long ones.

    Args:
        columns: Each column with a sample of its cells.
        shown: The file, as messages name it.
        text: The text columns, or None.
        label: The label column, or None.

    Raises:
        InputError: If not exactly one column is plausible; the message lists the columns.
    """
    named: list[Column] = [name for name in columns if isinstance(name, str)]
    named = named or list(columns)  # in a header, columns without names hold nothing
    if label is None:
        label = _infer_label(columns, [name for name in named if name not in (text or ())], shown)
    if text is None:
        text = _infer_text(columns, [name for name in named if name != label], shown)
    return Roles(list(text), label)


def infer_text(columns: Columns, shown: str) -> list[Column | list[Column]]:
    """Returns the text column, or both of a pair, of a file that need not have labels.

    Args:
        columns: Each column with a sample of its cells.
        shown: The file, as messages name it.

    Raises:
        InputError: If not exactly one column, or pair, is plausible; the message lists the columns.
    """
    named: list[Column] = [name for name in columns if isinstance(name, str)]
    free = [name for name in named or columns if _low(name) not in LABELS]
    return list(_infer_text(columns, free, shown))


def _infer_label(columns: Columns, free: Sequence[Column], shown: str) -> Column:
    by_name = [name for name in free if _low(name) in LABELS]
    by_content = [name for name in free if _has_labels(columns[name])]
    return _only(by_name or by_content or free, "label", columns, shown)


def _infer_text(columns: Columns, free: Sequence[Column], shown: str) -> list[Column]:
    for pair in PAIRS:
        both = [name for name in free if _low(name) in pair]
        if len(both) == 2:
            return sorted(both, key=lambda name: pair.index(_low(name)))
    by_name = [name for name in free if _low(name) in TEXTS]
    by_content = [name for name in free if _has_texts(columns[name])]
    return [_only(by_name or by_content or free, "text", columns, shown)]


def _only(candidates: Sequence[Column], role: str, columns: Columns, shown: str) -> Column:
    """Returns the one candidate; raises InputError if there are none or several."""
    if len(candidates) != 1:
        listed = names_of((f"{_short([name])} ({_short(cells)})" for name, cells in columns.items()), most=MOST_COLUMNS)
        other = "text" if role == "label" else "label"
        raise InputError(
            f"Cannot tell which column of {shown} is the {role}: it has {listed}. Set data.{role}, and data.{other} if "
            "necessary"
        )
    return candidates[0]


def _low(column: Column) -> str:
    return str(column).strip().lower()


def _short(cells: Sequence[Any]) -> str:
    text = " ".join(spell(cells[0]).split()) if cells else ""
    return text if len(text) <= 20 else f"{text[:19]}…"


def _has_labels(cells: Sequence[Any]) -> bool:
    names = [spell(cell) for cell in cells]
    return 2 <= len(set(names)) < FEW * len(names) and max(map(len, names)) <= LONG


def _has_texts(cells: Sequence[Any]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str)]
    if not any(any(map(str.isalpha, cell)) for cell in texts):
        return False  # numbers, dates
    return len(set(texts)) > FEW * len(cells) and mean(map(len, texts)) >= SHORT
