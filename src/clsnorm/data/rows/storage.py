"""From a source to clean, labelled rows on disk. Each file is read once, and one chunk of texts is in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clsnorm.data.formats.faults import SHOWN, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.data.rows.labels import ClassCoder, Classes, Coder, FoundClasses
from clsnorm.data.rows.texts import Texts, hashes, near_form
from clsnorm.data.rows.values import Values
from clsnorm.data.sources.source import Source
from clsnorm.errors import InputError
from clsnorm.progress import ROWS, ProgressBar
from clsnorm.tensor_files import save_array


def store(
    source: Source,
    root: Path,
    folder: Path,
    *,
    regression: bool,
    labels: Sequence[Any] | None,
    sizes: Mapping[str, int | None],
    max_empty: float,
    progress: bool,
    normalize_labels: bool = False,
    only: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Reads the splits of ``source``, checks them, and writes their rows to ``folder``, for `Rows.load`.

    Args:
        source: Where the rows come from.
        root: Folder of published data sets.
        folder: Where to write.
        regression: Whether labels are values.
        labels: The classes in the order of their ids, as stated; None: those of train, sorted.
        sizes: Stated row counts of the published splits; a missing one or None is not checked.
        max_empty: Largest share of rows of a split with an empty text.
        progress: Whether to show a progress bar.
        normalize_labels: Whether labels that look the same are one class.
        only: The splits to read; None: all.

    Returns:
        ``labels``: class names, None for regression; ``published``: rows of each split, those without a text included;
        ``drops``: of each split, by reason; ``spellings``: of each split, rows of each label of the files by class.

    Raises:
        InputError: If the files are faulty.
        Unavailable: If the source turns out not to have the rows.
    """
    labelling = _Labelling(labels, regression=regression, merged=normalize_labels)
    published: dict[str, int] = {}
    drops: dict[str, dict[str, int]] = {}
    wanted = source.splits if only is None else only
    for split in sorted(wanted, key=lambda name: name != "train"):  # train first: it names the classes of the others
        coder = labelling.coder()
        writer = _Writer(folder, split, len(source.text), coder, max_empty)
        with writer, ProgressBar(what=f"Reading {split}", total=sizes.get(split), shown=progress, **ROWS) as done:
            for table in source.read(root, split):
                writer.add(table)
                done.update(len(table.lines))
        published[split] = writer.rows
        drops |= {split: dict(writer.drops)} if writer.drops else {}
        writer.finish(sizes.get(split))
        labelling.learn(split, coder)
    return {"labels": labelling.names, "published": published, "drops": drops, "spellings": labelling.spellings}


class _Labelling:
    """The classes as far as the splits read so far have shown them.

    Attributes:
        names: Of the classes in the order of their ids; None for regression, and before they are known.
        spellings: Of each split, rows of each label of the files by class.
    """

    def __init__(self, stated: Sequence[Any] | None, *, regression: bool, merged: bool) -> None:
        self._regression, self._merged = regression, merged
        self._stated = None if stated is None else list(stated)
        self._written: list[str] | None = None  # as the files spell the stated classes
        self.names: list[str] | None = None
        self.spellings: dict[str, dict[str, dict[str, int]]] = {}

    def coder(self) -> Coder:
        """Returns the coder of the next split."""
        if self._regression:
            return Values()
        if self._stated is not None:
            return Classes(self._stated, self._written, stated=True, merged=self._merged)
        if self.names is not None:
            return Classes(self.names, self.names, stated=False, merged=self._merged)
        return FoundClasses(merged=self._merged)

    def learn(self, split: str, coder: Coder) -> None:
        """Takes over the names of the classes from the coder of a split that was read."""
        if isinstance(coder, ClassCoder):
            self.names, self.spellings[split] = coder.labels, coder.spellings
        if isinstance(coder, Classes):
            self._written = coder.names


class _Writer(contextlib.ExitStack):
    """Writes the texts of one split chunk by chunk, and its numbers at the end."""

    def __init__(self, folder: Path, split: str, texts: int, coder: Coder, max_empty: float) -> None:
        super().__init__()
        self._folder, self._split, self._coder, self._texts = folder, split, coder, Texts(max_empty)
        self._schema = pa.schema([(f"text_{i}", pa.large_string()) for i in range(texts)])
        self._columns: dict[str, list[np.ndarray]] = {
            "labels": [np.empty(0, coder.dtype)],
            "ids": [np.empty(0, np.int64)],
            "exact": [np.empty(0, np.uint64)],
            "near": [np.empty(0, np.uint64)],
        }
        self.rows, self.drops = 0, Counter[str]()
        self._files = Counter[str]()  # rows of each

    def __enter__(self) -> _Writer:
        file = self.enter_context(pa.OSFile(str(self._folder / f"{self._split}.arrow"), "wb"))
        self._arrow = self.enter_context(pa.ipc.new_file(file, self._schema))
        return self

    def add(self, table: Table) -> None:
        """Checks and writes a chunk."""
        full = self._texts.full(table)
        ids = self.rows + np.array(full, np.int64)
        self.rows += len(table.lines)
        self._files[table.shown] += len(table.lines)
        self.drops.update(table.drops)
        if len(full) < len(table.lines):
            self.drops["empty text"] += len(table.lines) - len(full)
            table = table.keep(full)
        labels = self._coder.encode(table)
        if full:
            found = {"labels": labels, "ids": ids, "exact": hashes(table.texts), "near": hashes(table.texts, near_form)}
            for name, chunk in found.items():
                self._columns[name].append(chunk)
            texts = [pa.array(column, pa.large_string()) for column in table.texts]
            self._arrow.write_batch(pa.record_batch(texts, self._schema))

    def finish(self, size: int | None) -> None:
        """Raises InputError if the number of rows is not ``size``, or for the faults that `add` found."""
        if size is not None and self.rows != size:
            each = f" ({', '.join(map(str, self._files.values()))})" if 1 < len(self._files) <= SHOWN else ""
            raise InputError(
                f"Expected {size} rows in {names_of(self._files)}, but found {self.rows}{each}. Get the file again, or "
                "state other counts in data.rows (null: any)"
            )
        self._texts.finish()
        self._coder.finish()
        self._save("starts", np.cumsum([len(chunk) for chunk in self._columns["ids"]]))
        self._save("labels", self._coder.final(np.concatenate(self._columns.pop("labels"))))
        for name in list(self._columns):
            self._save(name, np.concatenate(self._columns.pop(name)))

    def _save(self, name: str, column: np.ndarray) -> None:
        save_array(self._folder / f"{self._split}.{name}.npy", column)
