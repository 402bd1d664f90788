"""The rows of a user's file, whose texts are to be predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.reader import Column, Reader, in_chunks
from clsnorm.data.formats.text_lines import text_lines
from clsnorm.data.own_files.column_roles import infer_text
from clsnorm.data.own_files.own_source import Given, preview_files
from clsnorm.data.own_files.user_files import kind_of
from clsnorm.errors import InputError, require_choice

FORMATS = {"csv": ".csv", "tsv": ".tsv", "jsonl": ".jsonl", "parquet": ".parquet", "lines": ".txt"}
PAIR = ("text", "text_2")  # names of the columns of plain lines
Rows = dict[str, list[Any]]  # a chunk: the cells of each column


@dataclass(frozen=True)
class TextFile:
    """A file with a text or a pair of texts in each row.

    Attributes:
        path: The file.
        reader: Reads its rows; None: each line is a text, or a pair with a tab between.
        keys: All columns, as the reader knows them.
        names: The same, as they are shown.
        texts: Names of the text columns, one or two.
        form: A name of `FORMATS`.
    """

    path: Path
    reader: Reader | None
    keys: list[Column]
    names: list[str]
    texts: list[str]
    form: str

    def chunks(self) -> Iterator[Rows]:
        """Yields the rows in chunks of some thousand.

        Raises:
            InputError: If rows are malformed, or a text is none.
        """
        for rows in self._lines() if self.reader is None else self._cells(self.reader):
            for name in self.texts:
                self._require_texts(name, rows[name])
            yield rows

    def columns_of(self, rows: Rows) -> list[list[str]]:
        """Returns the texts of a chunk, one list or two; an empty cell is an empty text."""
        return [[cell or "" for cell in rows[name]] for name in self.texts]

    def _cells(self, reader: Reader) -> Iterator[Rows]:
        for table in reader.read([self.path], self.keys, shown=[str(self.path)]):
            yield {name: table.columns[key] for key, name in zip(self.keys, self.names, strict=True)}

    def _lines(self) -> Iterator[Rows]:
        for part in in_chunks(text_lines(self.path, "utf-8", str(self.path))):
            cells = [line.split("\t") if len(self.names) == 2 else [line] for _, line in part]
            if odd := [number for (number, _), row in zip(part, cells, strict=True) if len(row) != len(self.names)]:
                raise InputError(
                    f"Expected two texts with a tab between on each line of {self.path}, but line {odd[0]} has not"
                )
            yield {name: [row[at] for row in cells] for at, name in enumerate(self.names)}

    def _require_texts(self, name: str, cells: Sequence[Any]) -> None:
        if odd := [cell for cell in cells if cell is not None and not isinstance(cell, str)]:
            raise InputError(
                f"Expected texts in column {name!r} of {self.path}, but got {odd[0]!r}. Name another in columns="
            )


def open_texts(
    path: Path, *, form: str | None, columns: Sequence[Column], usual: Sequence[Column], pairs: bool | None
) -> TextFile:
    """Finds how a file is read, and which columns hold the texts.

    Args:
        path: A file.
        form: A name of `FORMATS`; None: by the file's extension.
        columns: The text columns as the user named them; empty: those of ``usual`` if the file has them, else by their
            names and contents.
        usual: The text columns of the run's own data.
        pairs: Whether two texts are needed; None: unknown.

    Raises:
        InputError: If the file does not exist, has another format, or it is not sure which columns are texts.
    """
    form = _form_of(path) if form is None else form
    require_choice("format", form, FORMATS)
    if not path.is_file():
        raise InputError(f"Expected file= to name a file, but {path} does not exist")
    if form == "lines":
        names = list(PAIR[: 1 + bool(pairs)])
        return TextFile(path, None, list(names), names, names, form)
    named = [column for column in columns if isinstance(column, str)]
    given = Given(text=list(columns) or None, narrow=True, header=True if named else None)
    try:
        preview = preview_files([path], path, FORMATS[form], given)
        texts = _texts(preview.columns, path, columns, usual)
    except InputError as error:
        raise InputError(_in_words_of_the_command(str(error))) from None
    keys = list(preview.columns)
    if isinstance(preview.reader, Delimited) and preview.reader.header:
        keys = [key for key in keys if isinstance(key, str)] or keys  # columns without a name hold nothing
    names = [str(key) for key in keys]
    if absent := [text for text in texts if text not in names]:
        raise InputError(f"Expected column {absent[0]!r} in {path}, but it has {', '.join(names)}. Set columns=")
    if pairs is not None and len(texts) != 1 + pairs:
        wanted = "two text columns, as the run was trained on pairs" if pairs else "one text column"
        raise InputError(f"Expected {wanted}, but got {', '.join(texts)}. Set columns={'A,B' if pairs else 'NAME'}")
    return TextFile(path, preview.reader, keys, names, texts, form)


def _texts(found: Any, path: Path, columns: Sequence[Column], usual: Sequence[Column]) -> list[str]:
    """Returns the names of the text columns."""
    if columns:
        return [str(column) for column in columns]
    if usual and all(column in found for column in usual):
        return [str(column) for column in usual]
    return [str(column) for column in infer_text(found, str(path))]


def _form_of(path: Path) -> str:
    """Returns the format of a file by its extension."""
    kinds = {extension: form for form, extension in FORMATS.items()}
    kind = kind_of(path)
    if kind not in kinds:
        raise InputError(
            f"Expected {path} to have an extension among {', '.join(kinds)}, but it has {kind or 'none'}. Set format=, "
            f"one of {', '.join(FORMATS)}"
        )
    return kinds[kind]


def _in_words_of_the_command(message: str) -> str:
    """Returns a message about the options of a data set in terms of this command's."""
    plain = message.replace("data.text, and data.label if necessary", "columns=").replace("data.text", "columns=")
    if "data." in plain:
        return f"{plain.replace('data.', '')}. This command has no such options: save the file as JSON Lines or Parquet"
    return plain
