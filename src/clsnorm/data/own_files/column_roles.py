"""Which columns of a user's file hold the texts and the label, where only one reading is sensible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from clsnorm.data.formats.faults import MOST_COLUMNS, names_of
from clsnorm.data.formats.readers import Column
from clsnorm.data.formats.spelling import spell
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
FEW = 0.5  # a label column holds fewer different values than this share of its rows, a text column more
LONG, SHORT = 40, 8  # characters: most of a label, fewest of a text in the mean


@dataclass(frozen=True)
class Roles:
    """The text columns, one or two, and the label column."""

    text: list[Column]
    label: Column


def is_known(name: str) -> bool:
    """Returns whether texts or labels often go by this name."""
    return name.strip().lower() in {*TEXTS, *LABELS, *(one for pair in PAIRS for one in pair)}


def infer_roles(
    columns: Mapping[Column, Sequence[Any]], shown: str, *, text: Sequence[Column] | None, label: Column | None
) -> Roles:
    """Returns which columns are which: by their names, else by what stands in them; what is given is kept.

    A label column holds few different short values, a text column many different long ones.

    Args:
        columns: Each column with a sample of its cells.
        shown: How messages name the file.
        text: The text columns, or None.
        label: The label column, or None.

    Raises:
        InputError: If there is not exactly one sensible reading, listing the columns.
    """
    if label is None:
        free = [name for name in columns if name not in (text or ())]
        short = [name for name in free if _holds_labels(columns[name])]
        label = _one(_named(free, LABELS) or short or free, "label", columns, shown)
    if text is None:
        free = [name for name in columns if name != label]
        long = [name for name in free if _holds_texts(columns[name])]
        pairs = [[name for name in free if _low(name) in pair] for pair in PAIRS]
        text = next((pair for pair in pairs if len(pair) == 2), None)
        text = text or [_one(_named(free, TEXTS) or long or free, "text", columns, shown)]
    return Roles(list(text), label)


def _one(candidates: Sequence[Column], what: str, columns: Mapping[Column, Sequence[Any]], shown: str) -> Column:
    if len(candidates) != 1:
        listed = names_of((f"{_short([name])} ({_short(cells)})" for name, cells in columns.items()), most=MOST_COLUMNS)
        raise InputError(
            f"Cannot tell which column of {shown} holds the {what}: it has {listed}. Set data.{what}, and "
            f"data.{'text' if what == 'label' else 'label'} if need be"
        )
    return candidates[0]


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    return [column for column in columns if _low(column) in names]


def _low(column: Column) -> str:
    return str(column).strip().lower()


def _short(cells: Sequence[Any]) -> str:
    text = " ".join(spell(cells[0]).split()) if cells else ""
    return text if len(text) <= 20 else f"{text[:19]}…"


def _holds_labels(cells: Sequence[Any]) -> bool:
    names = [spell(cell) for cell in cells]
    return 2 <= len(set(names)) < FEW * len(names) and max(map(len, names)) <= LONG


def _holds_texts(cells: Sequence[Any]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str)]
    if not texts or all(cell.replace(".", "").isdecimal() for cell in texts):
        return False
    return len(set(texts)) > FEW * len(cells) and mean(map(len, texts)) >= SHORT
