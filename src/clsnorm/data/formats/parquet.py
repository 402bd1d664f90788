"""Parquet files, and other rows in Arrow's form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.data.formats.faults import require_columns, require_rows
from clsnorm.data.formats.reader import CHUNK, Column, FileReader, Table
from clsnorm.data.formats.signatures import HEAD, refuse_other_formats
from clsnorm.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class ParquetFile(FileReader):
    """A Parquet file; only the requested columns are read."""

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        with open_parquet(path, shown) as file:
            require_columns(columns, file.schema_arrow.names, shown)
            require_rows(file.metadata.num_rows, shown)
            first = 1
            for batch in file.iter_batches(CHUNK, columns=[str(column) for column in columns]):
                yield from_arrow(batch, columns, shown, first)
                first += batch.num_rows


@contextlib.contextmanager
def open_parquet(path: Path, shown: str) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file; raises InputError, also within the ``with`` block, if it is broken or another format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        _refuse_other_formats(path, shown)
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{shown} is not a Parquet file, or a broken one: {reason}. Write it again") from None


def _refuse_other_formats(path: Path, shown: str) -> None:
    """Raises InputError if the file begins as one of another format does."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        head = stream.read(HEAD)
        if not head.startswith(b"PAR1"):
            refuse_other_formats(head, shown, expected="Parquet")
            if b"\0" not in head and head.strip():
                raise InputError(f"{shown} is not a Parquet file, but text. Name it with the extension of its format")


def from_arrow(batch: pa.RecordBatch | pa.Table, columns: Sequence[Column], shown: str, first: int) -> Table:
    """Returns ``columns`` of Arrow rows, the first of which is number ``first`` of its file."""
    cells: dict[Column, list[Any]] = {column: plain_cells(batch.column(str(column))) for column in columns}
    return Table(cells, list(range(first, first + batch.num_rows)), shown, unit="row")


def plain_cells(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Returns the cells of a column as other formats would give them.

    Bytes that are UTF-8 become text, since Spark may write text as plain bytes. A float32 becomes the shortest number
    that it can stand for, such as 0.1, not 0.10000000149011612.
    """
    import pyarrow.types as kinds

    kind, cells = column.type, column.to_pylist()
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return [None if cell is None else _decoded(cell) for cell in cells]
    if kinds.is_float16(kind) or kinds.is_float32(kind):
        of_kind = kind.to_pandas_dtype()
        return [None if cell is None else float(str(of_kind(cell))) for cell in cells]
    return cells


def _decoded(cell: bytes) -> str | bytes:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell
