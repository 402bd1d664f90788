"""How a user's files are read, by the user's options and the beginnings of the files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.reader import Column, Reader
from clsnorm.data.formats.table_header import place_of
from clsnorm.data.own_files.column_roles import Roles, infer_roles
from clsnorm.data.own_files.file_start import infer_encoding
from clsnorm.data.own_files.inference import CellOptions, Preview, preview_cells, preview_json, preview_parquet
from clsnorm.data.own_files.other_files import require_same_start
from clsnorm.data.sources.files_source import FilesSource, paths_of
from clsnorm.errors import InputError, require_switch, require_whole

PREVIEWED = 3  # rows that are logged
LETTERS = 60  # of each cell

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Given:
    """The user's options for the format; None is inferred.

    Args:
        encoding, delimiter, quoting, escape, header, skip_lines, comment, text, label, labels: As in `UserFiles`.
        narrow: Whether a table may have one column only: one without labels.

    Raises:
        InputError: If one of them is out of range, or if columns are named and ``header`` is False.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quoting: bool | None = None
    escape: bool | None = None
    header: bool | None = None
    skip_lines: int | None = None
    comment: str | None = None
    text: Sequence[Column | list[Column]] | None = None
    label: Column | None = None
    labels: Sequence[Any] | None = None
    narrow: bool = False

    def __post_init__(self) -> None:
        for name in ("quoting", "escape", "header"):
            require_switch(f"data.{name}", getattr(self, name), or_null=True)
        require_whole("data.skip_lines", self.skip_lines, least=0, or_null=True)
        if self.comment is not None and not (isinstance(self.comment, str) and self.comment.strip()):
            raise InputError(f"Expected data.comment to be null or the start of a line, but got {self.comment!r}")
        if self.names and self.header is False:
            raise InputError(
                "Expected data.text and data.label to be numbers from 0 with data.header=false, but got "
                f"{', '.join(self.names)}"
            )
        if self.delimiter is not None:
            Delimited(delimiter=self.delimiter)  # raises if it cannot be one

    @property
    def names(self) -> list[str]:
        """The columns that are given by name, which only a header has."""
        given = [*(self.text or ()), self.label]
        parts = [part for column in given for part in (column if isinstance(column, list) else [column])]
        return [column for column in parts if isinstance(column, str)]

    def cells(self) -> CellOptions:
        """Returns the options for a table of cells."""
        return CellOptions(
            delimiter=self.delimiter,
            quoting=self.quoting,
            escape=self.escape,
            header=self.header,
            skip_lines=self.skip_lines,
            comment=self.comment,
            names=self.names,
            labels=self.labels or (),
            narrow=self.narrow,
        )


def own_source(splits: Mapping[str, list[str]], kind: str, given: Given, *, log: bool) -> FilesSource:
    """Returns the source of a user's rows.

    Args:
        splits: The files of each split. The first one of train decides how all are read.
        kind: Their extension, such as ``.csv``.
        given: What need not be inferred.
        log: Whether to log what was inferred, and the first rows.

    Raises:
        InputError: If something cannot be inferred, or if files begin differently.
    """
    files = [path for names in splits.values() for path in paths_of(names, Path())]
    first = paths_of(splits["train"], Path())[0]
    preview = preview_files(files, first, kind, given)
    roles = _roles(preview, first, given)
    source = FilesSource(splits=splits, reader=preview.reader, text=roles.text, label=roles.label)
    if isinstance(preview.reader, Delimited):
        others = [path for path in files if path != first]
        require_same_start(others, first, preview.reader, source.columns, given.cells())
    if log:
        _log_inferred(vars(given), {**vars(preview.reader), **vars(roles)}, first)
        _log_rows(first, preview.reader, source)
    return source


def _roles(preview: Preview, first: Path, given: Given) -> Roles:
    """Returns the text and label columns; of a table of cells, those given by number are named if they have names."""
    keys = list(preview.columns) if isinstance(preview.reader, Delimited) else []

    def named(column: Any) -> Any:
        if isinstance(column, list):
            return [named(part) for part in column]
        if not isinstance(column, int) or not keys:
            return column
        return keys[place_of(column, [str(key) if isinstance(key, str) else "" for key in keys], str(first))]

    text = None if given.text is None else [named(column) for column in given.text]
    return infer_roles(preview.columns, str(first), text=text, label=named(given.label))


def preview_files(files: Sequence[Path], first: Path, kind: str, given: Given) -> Preview:
    """Returns a reader for the files, and the beginning of the first.

    Args:
        files: All files.
        first: The one that decides how all are read.
        kind: Their extension, such as ``.csv``.
        given: What need not be inferred.

    Raises:
        InputError: If something cannot be inferred.
    """
    if kind in (".parquet", ".jsonl"):
        for name in ("skip_lines", "comment"):
            if getattr(given, name):
                raise InputError(f"Expected data.{name}=null for {kind} files, whose lines are all rows")
    if kind == ".parquet":
        return preview_parquet(first)
    encoding = infer_encoding(files) if given.encoding is None else given.encoding
    if kind == ".jsonl":
        return preview_json(first, encoding=encoding)
    return preview_cells(first, kind, encoding=encoding, given=given.cells())


def _log_inferred(given: Mapping[str, Any], used: Mapping[str, Any], path: Path) -> None:
    """Logs the value of each setting that was inferred; of those that are rarely needed, only if they are in use."""
    for name, value in given.items():
        rare = name in ("escape", "skip_lines", "comment") and not used.get(name)
        if value is None and name in used and not rare:
            logger.info("data.%s=%r, inferred from the beginning of %s", name, used[name], path)


def _log_rows(path: Path, reader: Reader, source: FilesSource) -> None:
    """Logs where the rows of a file begin, and the first ones, as they are read."""
    table = next(iter(reader.read([path], source.columns, shown=[str(path)])), None)
    if table is None:
        return
    rows = source.table(table)
    logger.info("first rows of %s as they are read%s:", path.name, _described(reader))
    for line, *texts, label in list(zip(rows.lines, *rows.texts, rows.labels, strict=True))[:PREVIEWED]:
        logger.info("  %s %d: text %s, label %s", rows.unit, line, " and ".join(map(_short, texts)), _short(label))


def _described(reader: Reader) -> str:
    if not isinstance(reader, Delimited):
        return ""
    skipped = {0: "no line skipped", 1: "line 1 skipped"}.get(reader.skip_lines, f"lines 1-{reader.skip_lines} skipped")
    return f" ({skipped}, {'then a header' if reader.header else 'no header'})"


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}…"
