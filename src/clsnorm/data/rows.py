"""From a source to clean, labelled, carved splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.data import labels as labelling
from clsnorm.data.faults import Faults
from clsnorm.data.sources import Source, Table
from clsnorm.data.splits import carve, leaked
from clsnorm.errors import InputError


@dataclass
class Split:
    """Rows ready to be tokenized.

    Attributes:
        texts: One list of texts, or two for pairs.
        labels: int64 class ids, or float32 values.
        ids: int64 row numbers in the published part.
    """

    texts: list[list[str]]
    labels: np.ndarray
    ids: np.ndarray

    def keep(self, rows: np.ndarray) -> "Split":
        """Returns the split with only ``rows``."""
        return Split([[column[i] for i in rows] for column in self.texts], self.labels[rows], self.ids[rows])


@dataclass
class Prepared:
    """All splits of a data set, and what is to be said about them.

    Attributes:
        splits: ``train``, ``select``, and ``report`` or ``report`` and ``report_*``.
        labels: Class names; None for regression.
        record: ``published`` rows, ``drops`` by reason and ``leaked`` rows of each split.
    """

    splits: dict[str, Split]
    labels: list[str] | None
    record: dict[str, Any] = field(default_factory=dict)


def prepare(
    source: Source, root: Path, *, regression: bool, labels: Sequence[str] | None, rows: Mapping[str, int | None]
) -> Prepared:
    """Reads all splits of ``source``, checks them, and carves those that it does not have.

    Args:
        source: Has the rows.
        root: Folder of published data sets.
        regression: Whether labels are numbers.
        labels: Class names in the order of their ids; None: those of train, sorted.
        rows: Stated row counts of the published splits; what is missing or None is not checked.

    Raises:
        InputError: For whatever the files have that they should not have.
        Unavailable: If the source turns out not to have the rows.
    """
    tables = {split: source.read(root, split) for split in source.splits}
    published = {split: len(table.lines) for split, table in tables.items()}
    for split, table in tables.items():
        require_rows(table, rows.get(split))
        tables[split] = without_empty_texts(table)
    names = None if regression else list(labels or labelling.infer_labels(tables["train"]))
    splits = {split: encode(table, names) for split, table in tables.items()}
    for split in ("report", "select"):
        if split not in splits:
            stay, off = carve(splits["train"].texts, splits["train"].labels, split)
            splits[split], splits["train"] = splits["train"].keep(off), splits["train"].keep(stay)
    if names:
        for split, part in splits.items():
            labelling.require_classes(part.labels, names, split)
    record = {
        "published": published,
        "drops": {split: table.drops for split, table in tables.items() if table.drops},
        "leaked": {s: leaked(splits["train"].texts, part.texts) for s, part in splits.items() if s != "train"},
    }
    ordered = ["train", "select", *(s for s in splits if s.startswith("report"))]
    return Prepared({s: splits[s] for s in ordered}, names, record)


def require_rows(table: Table, stated: int | None) -> None:
    """Raises InputError if the table has another number of rows than is stated for it."""
    if stated is not None and len(table.lines) != stated:
        raise InputError(
            f"Expected {stated} rows in {table.shown}, but found {len(table.lines)}. Get the file again, or state "
            "other counts in data.rows (null: any)"
        )


def without_empty_texts(table: Table) -> Table:
    """Leaves out rows of which a text is empty, and counts them.

    Raises:
        InputError: If a text is not text, if all texts of a column are numbers, or if nothing is left.
    """
    faults = Faults(table.shown, table.unit)
    for column in table.texts:
        for cell, line in zip(column, table.lines, strict=True):
            if cell is not None and not isinstance(cell, str):
                faults.add(line, f"{cell!r}")
    faults.refuse("Expected text in the text column", "Name another column in data.text")
    full = [i for i, row in enumerate(zip(*table.texts, strict=True)) if all(cell and cell.strip() for cell in row)]
    if not full:
        raise InputError(f"Expected text in {table.shown}, but all {len(table.lines)} rows are empty. Check data.text")
    if len(full) < len(table.lines):
        table.drops["empty text"] = len(table.lines) - len(full)
        table = table.keep(full)
    for column in table.texts:
        if all(_is_number(cell) for cell in column):
            raise InputError(
                f"Expected text in {table.shown}, but a text column holds numbers alone, such as {column[0]!r}. Name "
                "another column in data.text"
            )
    return table


def encode(table: Table, labels: Sequence[str] | None) -> Split:
    """Returns the table with class ids, or with values if ``labels`` is None."""
    coded = labelling.values(table) if labels is None else labelling.class_ids(table, labels)
    return Split(table.texts, coded, np.array(table.ids, dtype=np.int64))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
