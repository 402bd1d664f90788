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
        reason = str(error).splitlines()[0]
        raise InputError(f"{shown} is not a Parquet file, or a broken one: {reason}. Write it again") from None


def _refuse_other_formats(path: Path, shown: str) -> None:
    """Raises InputError if the file begins as one of another format does."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        head = stream.read(HEAD)
        if not head.startswith(b"PAR1"):
            refuse_other_formats(head, shown, expected="Parquet")


def from_arrow(batch: pa.RecordBatch | pa.Table, columns: Sequence[Column], shown: str, first: int) -> Table:
    """Returns ``columns`` of Arrow rows, the first of which is number ``first`` of its file."""
    cells: dict[Column, list[Any]] = {column: plain_cells(batch.column(str(column))) for column in columns}
    return Table(cells, list(range(first, first + batch.num_rows)), shown, unit="row")


def plain_cells(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Returns the cells of a column; bytes that are UTF-8 become text, since Spark writes text without saying so."""
    cells = column.to_pylist()
    return [_decoded(cell) if isinstance(cell, bytes) else cell for cell in cells] if _is_binary(column) else cells


def _is_binary(column: pa.Array | pa.ChunkedArray) -> bool:
    import pyarrow.types as kinds

    kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
    return any(is_kind(kind) for is_kind in (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary))


def _decoded(cell: bytes) -> str | bytes:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell
