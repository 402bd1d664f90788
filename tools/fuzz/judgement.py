"""Reads a random file with the package, and judges what comes back."""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.cases import GIVEN, STATED, WELL_FORMED, Case, options
from fuzz.mutations import ANYTHING, BEGINNING, REFERENCE
from fuzz.random_tables import RandomTable
from fuzz.stated import spelled

from clsnorm.data import UserFiles
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.storage import store
from clsnorm.errors import InputError

SECONDS = 5
WRONG = ("silent", "traceback", "hang", "refused though given")
Row = tuple[Any, ...]  # the texts, then the name of the class or the number


def product_rows(path: Path, given: dict[str, Any], scratch: Path, names: Sequence[str]) -> list[Row]:
    """Returns the rows as the package reads, checks and stores them.

    Args:
        path: The file.
        given: Arguments of `UserFiles`.
        scratch: Folder for the rows.
        names: Of the classes in the order in which they were stated; empty: as the package names them.
    """
    data = UserFiles(train=str(path), **given)
    (source,) = data.sources.values()
    facts: dict[str, Any] = {"regression": data.regression, "labels": data.facts.labels}
    record = store(source, Path(), scratch, **facts, sizes={}, max_empty=1.0, progress=False)
    rows = Rows.load(scratch, "train")
    texts = [text for chunk in rows.texts() for text in zip(*chunk, strict=True)]
    labels = rows.labels.tolist() if data.regression else [(names or record["labels"])[i] for i in rows.labels]
    return [(*text, label) for text, label in zip(texts, labels, strict=True)]


def expected_rows(table: RandomTable, rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Returns what of ``rows`` is used: texts and label of those without an empty text."""
    found = []
    for row in rows:
        texts = [row[at].decode() if isinstance(row[at], bytes) else row[at] for at in table.texts]
        cell = row[table.label]
        if all(text and text.strip() for text in texts):
            found.append((*texts, float(np.float32(cell)) if table.regression else spelled(cell)))
    return found


def judge(case: Case, path: Path, scratch: Path) -> tuple[str, str]:
    """Reads a file; returns the outcome and, unless it is right, a line about it."""
    try:
        with _limit(SECONDS):
            rows = product_rows(path, options(case), scratch, list(case.stated))
    except InputError as error:
        message = str(error)
        if "\n" in message.strip():
            return "traceback", f"a message of several lines: {message!r}"
        given = case.mode == GIVEN and case.change in (WELL_FORMED, STATED) and _is_usable(case)
        return ("refused though given" if given else "refused"), message
    except TimeoutError:
        return "hang", f"more than {SECONDS} s"
    except Exception:  # whatever it is, it is a fault
        return "traceback", " ".join(traceback.format_exc().split())[-300:]
    return compare(case, rows)


def compare(case: Case, rows: list[Row]) -> tuple[str, str]:
    """Returns ``equal`` or ``silent``, and the first difference."""
    if case.allowed == ANYTHING or (case.allowed == REFERENCE and case.reference is None):
        return "equal", ""
    try:
        wanted = expected_rows(case.table, case.reference or [] if case.allowed == REFERENCE else case.table.rows)
    except (ValueError, TypeError, AttributeError, IndexError):  # the change made it no table
        return "equal", ""
    if case.allowed == BEGINNING:
        whole = rows[: max(0, len(rows) - 1)]  # a reader cannot know that the last row is cut
        wanted, rows = wanted[: len(whole)], whole
    if rows == wanted:
        return "equal", ""
    at = next(
        (i for i, (one, other) in enumerate(zip(rows, wanted, strict=False)) if one != other),
        min(len(rows), len(wanted)),
    )
    detail = f"{len(rows)} rows for {len(wanted)}; row {at}: {rows[at : at + 1]} for {wanted[at : at + 1]}"
    return "silent", detail[:400]


def _is_usable(case: Case) -> bool:
    """Does the table have rows, a label in each of them and, unless these are numbers, two classes?

    A row that equals the header cannot be told from a second header, as in files that were put one after the other.
    """
    rows = expected_rows(case.table, case.table.rows)
    labels = {row[-1] for row in rows}
    if case.dialect.header and case.table.names in case.table.rows:
        return False
    return bool(rows) and "" not in labels and (case.table.regression or len(labels) > 1)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
