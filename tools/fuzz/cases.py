"""A random data file, how it is read, and what a reading may return."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from fuzz.dialects import Dialect, random_file, read
from fuzz.mutations import ANYTHING, MUTATIONS, REFERENCE
from fuzz.random_tables import RandomTable
from fuzz.stated import stated_labels

WELL_FORMED, STATED = "well-formed", "well-formed, labels stated"
GIVEN, FORMAT_INFERRED, ALL_INFERRED = "format given", "format inferred", "columns inferred too"
OPTIONS: dict[str, Any] = {
    "select": None, "report": None, "labels": None, "rows": None, "metrics": None, "monitor": None, "mode": "max",
    "max_length": 16, "batch_size": 8, "eval_batch_size": 8, "max_train_examples": None, "packed": True, "cache": "",
    "num_workers": 0, "tokenizer": None, "seed_order": 0, "seed_subset": 0, "seed_noise": 0, "untrained": [],
    "allow_absent": True, "shots_per_class": None, "label_noise": 0.0, "drop_leaked": False, "max_empty": 1.0,
    "about": None,
}  # fmt: skip


@dataclass
class Case:
    """A random file and how it is read.

    Attributes:
        number: Of the file.
        change: Name of the mutation, or ``well-formed``.
        mode: How much is given.
        dialect: Of the file; of one that was changed, before that.
        table: What it holds.
        content: Its bytes, not compressed.
        suffix: Its extension.
        allowed: What a reading may return.
        reference: The rows as other libraries read them; None if they cannot.
        stated: The labels that are stated, by the names of the classes; empty: none.
    """

    number: int
    change: str
    mode: str
    dialect: Dialect
    table: RandomTable
    content: bytes
    suffix: str
    allowed: str
    reference: list[list[Any]] | None
    stated: dict[str, Any]


def draw(seed: int, number: int) -> Case:
    """Returns the case of a number."""
    rng = Random(f"{seed}/{number}")
    dialect, table, content = random_file(rng)
    change, allowed, suffix = WELL_FORMED, REFERENCE, dialect.suffix
    if rng.random() < 0.5:
        change = rng.choice(list(MUTATIONS))
        changed, content, allowed = MUTATIONS[change](rng, dialect, table, content)
        suffix = changed.suffix
    mode = rng.choice([GIVEN, GIVEN, FORMAT_INFERRED, ALL_INFERRED])
    if mode != GIVEN and dialect.delimited and _reads_as_utf8(dialect, content):
        dialect, allowed = replace(dialect, encoding="utf-8"), REFERENCE
    reference = None
    with contextlib.suppress(Exception):  # pandas raises many kinds of errors for a changed file
        reference = read(dialect, content, table.names)
    if mode != GIVEN and dialect.delimited and _ambiguous(dialect, suffix, table, content):
        allowed = ANYTHING
    stated: dict[str, Any] = {}
    if change == WELL_FORMED and not table.regression and rng.random() < 0.3:
        change = STATED
        stated = stated_labels(rng, [row[table.label] for row in table.rows])
    return Case(number, change, mode, dialect, table, content, suffix, allowed, reference, stated)


def _reads_as_utf8(dialect: Dialect, content: bytes) -> bool:
    """Is a file valid as UTF-8, by chance, that was written otherwise? Nobody can see that, and UTF-8 is the rule."""
    if dialect.encoding not in ("cp1252", "latin-1") or content.isascii():
        return False
    with contextlib.suppress(UnicodeDecodeError):
        return bool(content.decode("utf-8"))
    return False


def _ambiguous(dialect: Dialect, suffix: str, table: RandomTable, content: bytes) -> bool:
    """Do rows have equal lengths both with and without quoting, so that a reader cannot infer it?"""
    if not dialect.quoting:
        return any(str(cell).startswith('"') for row in table.rows for cell in row)
    text = content.decode(dialect.encoding, "replace")
    if suffix.startswith(".csv") or '""' in text:
        return False
    lines = [line.rstrip("\r").split(dialect.delimiter) for line in text.split("\n") if line.strip()]
    everything = all(cell.startswith('"') and cell.endswith('"') for line in lines for cell in line)
    return '"' in text and not everything and len(set(map(len, lines))) == 1


def options(case: Case) -> dict[str, Any]:
    """Returns the arguments of `UserFiles` that the mode gives."""
    dialect, table, given = case.dialect, case.table, {**OPTIONS}
    given |= dict.fromkeys(("delimiter", "quoting", "header", "encoding", "text", "label"))
    given["labels"] = list(case.stated.values()) or None
    given["task"] = "regression" if table.regression else "classification"
    if case.mode != ALL_INFERRED:
        named = dialect.header
        given["text"] = [table.names[at] if named else at for at in table.texts]
        given["label"] = table.names[table.label] if named else table.label
    if case.mode == GIVEN and dialect.kind != ".parquet":
        given["encoding"] = dialect.encoding
    if case.mode == GIVEN and dialect.delimited:
        given |= {"delimiter": dialect.delimiter, "quoting": dialect.quoting, "header": dialect.header}
        if case.change in (WELL_FORMED, STATED):
            given["skip_lines"] = 0  # a row that looks like a comment is a row
    return given
