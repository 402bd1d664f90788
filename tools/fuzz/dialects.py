"""Writes a table as a file in one of many dialects, and reads it back without the package under test."""

from __future__ import annotations

import csv
import decimal
import gzip
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.random_tables import RandomTable, random_table

ENCODINGS = ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-16-le"]
SAFE = "".join(chr(c) for c in range(0x80, 0xA0))  # differs between Latin-1 and Windows-1252


@dataclass
class Dialect:
    """How a file is written.

    Attributes:
        suffix: Its extension.
        delimiter: Between cells; empty for JSON Lines and Parquet.
        quoting: Whether quotes enclose cells.
        header: Whether the first line names the columns.
        encoding: Of the text.
        end: Of a line.
    """

    suffix: str
    delimiter: str = ""
    quoting: bool = False
    header: bool = True
    encoding: str = "utf-8"
    end: str = "\n"

    @property
    def delimited(self) -> bool:
        """Are there cells and delimiters?"""
        return bool(self.delimiter)

    @property
    def kind(self) -> str:
        """The extension without that of compression."""
        return "." + self.suffix.split(".")[1]


def random_dialect(rng: Random) -> Dialect:
    """Returns a dialect; CSV is the most frequent."""
    kind = rng.choices([".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"], [8, 4, 3, 3, 1, 2])[0]
    packed = rng.random() < 0.1
    if kind == ".parquet":
        return Dialect(kind)
    encoding = (
        rng.choice(ENCODINGS) if kind in (".csv", ".tsv", ".txt") else rng.choice(["utf-8", "utf-8", "utf-8-sig"])
    )
    suffix = kind + (".gz" if packed else "")
    if kind in (".jsonl", ".ndjson"):
        return Dialect(suffix, encoding=encoding, end=rng.choice(["\n", "\n", "\r\n"]))
    delimiter = rng.choice({".csv": ",,,,;;\t|", ".tsv": "\t\t\t\t;,", ".txt": "\t\t;,|"}[kind])
    quoting = rng.random() < (0.9 if kind == ".csv" else 0.4)
    return Dialect(suffix, delimiter, quoting, rng.random() < 0.75, encoding, rng.choice(["\n", "\n", "\r\n"]))


def random_file(rng: Random) -> tuple[Dialect, RandomTable, bytes]:
    """Returns a dialect, a table that it can express, and the file, not compressed."""
    dialect = random_dialect(rng)
    quoted = dialect.quoting or not dialect.delimited
    forbidden = "" if quoted else f"{dialect.delimiter}\r\n"
    table = random_table(rng, typed=not dialect.delimited, breaks=quoted, forbidden=forbidden)
    if dialect.encoding in ("cp1252", "latin-1"):
        table = _encodable(table, dialect.encoding)
    return dialect, table, write(rng, dialect, table)


def _encodable(table: RandomTable, encoding: str) -> RandomTable:
    def fitted(cell: Any) -> Any:
        bad = {ord(c): "_" for c in (SAFE if encoding == "latin-1" else "\x81\x8d\x8f\x90\x9d\x85")}
        return cell.translate(bad).encode(encoding, "replace").decode(encoding) if isinstance(cell, str) else cell

    rows, names = [[fitted(cell) for cell in row] for row in table.rows], [fitted(name) for name in table.names]
    return RandomTable(names, rows, table.texts, table.label, table.regression)


def write(rng: Random, dialect: Dialect, table: RandomTable) -> bytes:
    """Returns the file's bytes."""
    if dialect.kind == ".parquet":
        return _parquet(rng, table)
    if dialect.delimited:
        text = _cells(rng, dialect, table)
    else:
        lines = [_json(rng, dict(zip(table.names, row, strict=True))) for row in table.rows]
        text = dialect.end.join(lines) + dialect.end
    if rng.random() < 0.1:
        text = text.removesuffix(dialect.end)
    return text.encode(dialect.encoding)


def compress(dialect: Dialect, content: bytes) -> bytes:
    """Returns the bytes as the extension promises them."""
    return gzip.compress(content, 1) if dialect.suffix.endswith(".gz") else content


def _cells(rng: Random, dialect: Dialect, table: RandomTable) -> str:
    rows = [table.names, *table.rows] if dialect.header else table.rows
    if not dialect.quoting:
        return "".join(dialect.delimiter.join(row) + dialect.end for row in rows)
    everything = rng.random() < 0.3
    special = {dialect.delimiter, '"', "\r", "\n"}  # Python's writer forgets a lone \\r
    quoted = [[_quoted(cell) if everything or special & set(cell) else cell for cell in row] for row in rows]
    return "".join(dialect.delimiter.join(row) + dialect.end for row in quoted)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _json(rng: Random, row: dict[str, Any]) -> str:
    items = list(row.items())
    if rng.random() < 0.3:
        rng.shuffle(items)
    style = rng.choice([(", ", ": "), (",", ":")])
    return json.dumps(dict(items), ensure_ascii=rng.random() < 0.5, separators=style)


def _parquet(rng: Random, table: RandomTable) -> bytes:
    columns: dict[str, pa.Array] = {}
    for at, name in enumerate(table.names):
        cells = [row[at] for row in table.rows]
        if len({type(cell) for cell in cells}) > 1:
            cells = list(map(str, cells))
            for row, cell in zip(table.rows, cells, strict=True):
                row[at] = cell
        columns[name] = _arrow(rng, cells)
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression=rng.choice(["snappy", "none", "zstd"]), row_group_size=20)
    return out.getvalue()


def _arrow(rng: Random, cells: list[Any]) -> pa.Array:
    if isinstance(cells[0], str):
        kinds = [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
        kind = rng.choice(kinds)
        return pa.array([cell.encode() for cell in cells] if kind == pa.binary() else cells, kind)
    if isinstance(cells[0], int) and not isinstance(cells[0], bool) and rng.random() < 0.3:
        return pa.array([decimal.Decimal(cell) for cell in cells], pa.decimal128(20, 2))
    return pa.array(cells)


def read(dialect: Dialect, content: bytes, names: Sequence[str]) -> list[list[Any]]:
    """Returns the rows as pandas, the standard library's JSON or pyarrow reads them; raises if they cannot."""
    if dialect.kind == ".parquet":
        return [list(row.values()) for row in pq.read_table(io.BytesIO(content)).to_pylist()]
    if not dialect.delimited:
        lines = content.decode(dialect.encoding).split("\n")
        return [[json.loads(line)[name] for name in names] for line in lines if line.strip()]
    text = content.decode(dialect.encoding)
    if not dialect.quoting:  # a lone \\r is a character of a cell
        text = text.replace("\r\n", "\n")
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # for rows that are too long
        frame = pd.read_csv(
            io.StringIO(text, newline=""),
            sep=dialect.delimiter,
            quoting=csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE,
            header=0 if dialect.header else None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            index_col=False,
            lineterminator=None if dialect.quoting else "\n",
        )
    return frame.to_numpy(object).tolist()
