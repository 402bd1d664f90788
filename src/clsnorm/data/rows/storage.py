"""From a source to clean, labelled rows on disk: everything is read once, and only a chunk of it is in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clsnorm.data.formats.faults import SHOWN, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.data.rows import labels as labelling
from clsnorm.data.rows.arrays import ArrayFile, write_array
from clsnorm.data.rows.columns import Stored
from clsnorm.data.rows.parts import ARRAYS
from clsnorm.data.rows.progress import bar
from clsnorm.data.rows.texts import Texts, hashes, near_form
from clsnorm.data.sources.source import Source
from clsnorm.errors import InputError
from clsnorm.files import replacing


def store(
    source: Source,
    root: Path,
    folder: Path,
    *,
    regression: bool,
    labels: Sequence[str] | None,
    sizes: Mapping[str, int | None],
    max_empty: float,
    progress: bool,
    only: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Reads the splits of ``source``, checks them, and writes their rows to ``folder``, for `Rows`.

    Args:
        source: Has the rows.
        root: Folder of published data sets.
        folder: Where to write.
        regression: Whether labels are numbers.
        labels: Class names in the order of their ids; None: those of train, sorted.
        sizes: Stated row counts of the published splits; what is missing or None is not checked.
        max_empty: Largest share of rows of a split with an empty text.
        progress: Whether to show a progress bar.
        only: The splits to read; None: all.

    Returns:
        ``labels``: class names, None for regression; ``published``: rows of each split, those without a text included;
        ``drops``: of each split, by reason.

    Raises:
        InputError: For whatever the files have that they should not have.
        Unavailable: If the source turns out not to have the rows.
    """
    names = None if labels is None else list(labels)
    published: dict[str, int] = {}
    drops: dict[str, dict[str, int]] = {}
    train_first = sorted(
        source.splits if only is None else only, key=lambda name: name != "train"
    )  # the others have its classes
    for split in train_first:
        coder = _coder(regression=regression, names=names, stated=labels is not None)
        writer = _Writer(folder, split, len(source.text), coder, max_empty)
        with writer, bar(f"Reading {split}", partial(sizes.get, split), shown=progress) as done:
            for table in source.read(root, split):
                writer.add(table)
                done.update(len(table.lines))
        published[split] = writer.rows
        drops |= {split: dict(writer.drops)} if writer.drops else {}
        writer.finish(sizes.get(split))
        names = coder.labels
    return {"labels": names, "published": published, "drops": drops}


def _coder(*, regression: bool, names: Sequence[str] | None, stated: bool) -> labelling.Coder:
    if regression:
        return labelling.Values()
    return labelling.FoundClasses() if names is None else labelling.Classes(names, stated=stated)


class _Writer(contextlib.ExitStack):
    """Writes the rows of one split."""

    def __init__(self, folder: Path, split: str, texts: int, coder: labelling.Coder, max_empty: float) -> None:
        super().__init__()
        self._folder, self._split, self._coder, self._texts = folder, split, coder, Texts(max_empty)
        self._schema = pa.schema([(f"text_{i}", pa.large_string()) for i in range(texts)])
        self.rows, self.drops, self._starts = 0, Counter[str](), [0]
        self._files = Counter[str]()  # rows of each

    def __enter__(self) -> _Writer:
        types = {"labels": self._coder.dtype, **ARRAYS}
        self._arrays = {name: self.enter_context(ArrayFile(self._path(name), kind)) for name, kind in types.items()}
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
            for name, array in found.items():
                self._arrays[name].append(array)
            texts = [pa.array(column, pa.large_string()) for column in table.texts]
            self._arrow.write_batch(pa.record_batch(texts, self._schema))
            self._starts.append(self._starts[-1] + len(full))

    def finish(self, size: int | None) -> None:
        """Raises InputError if there is another number of rows than ``size``, or for what `add` found."""
        if size is not None and self.rows != size:
            each = f" ({', '.join(map(str, self._files.values()))})" if 1 < len(self._files) <= SHOWN else ""
            raise InputError(
                f"Expected {size} rows in {names_of(self._files)}, but found {self.rows}{each}. Get the file again, or "
                "state other counts in data.rows (null: any)"
            )
        self._texts.finish()
        self._coder.finish()
        np.save(self._path("starts"), np.array(self._starts, np.int64))
        with replacing(self._path("labels")) as draft:
            write_array(draft, map(self._coder.final, Stored(self._path("labels"))))

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._split}.{name}.npy"
