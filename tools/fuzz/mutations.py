"""Changes a well-formed file, and says what a reader may then return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from fuzz.dialects import Dialect, write
from fuzz.random_tables import RandomTable

# What a reader that does not refuse must return: the table; its first rows; the reference's rows; or anything.
TABLE, BEGINNING, REFERENCE, ANYTHING = "table", "beginning", "reference", "anything"
Mutated = tuple[Dialect, bytes, str]
Mutation = Callable[[Random, Dialect, RandomTable, bytes], Mutated]


def cut(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Ends the file early."""
    return dialect, content[: rng.randrange(len(content))], BEGINNING


def flip(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Replaces up to three bytes."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return dialect, bytes(changed), REFERENCE if dialect.delimited and dialect.encoding == "utf-8" else ANYTHING


def zero(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Inserts a zero byte."""
    at = rng.randrange(len(content) + 1)
    return dialect, content[:at] + b"\0" + content[at:], ANYTHING


def double_header(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Repeats the header among the rows, as where files were put one after the other."""
    if not (dialect.delimited and dialect.header):
        return cut(rng, dialect, table, content)
    at = rng.randrange(1, len(table.rows) + 1)
    rows = [*table.rows[:at], table.names, *table.rows[at:]]
    return dialect, write(rng, dialect, replace(table, rows=rows)), REFERENCE


def line_above(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Puts a comment, a title, Excel's ``sep=`` or empty lines above the first line."""
    if not dialect.delimited:
        return shuffle_columns(rng, dialect, table, content)
    mark, end = dialect.delimiter, dialect.end
    lines = [
        "# made by a tool",
        f"# made by a tool{mark} 2024",
        f"Survey{mark * (len(table.names) - 1)}",
        f"sep={mark}",
    ]
    line = rng.choice([*lines, "", end, "A title"])
    start = content.decode(dialect.encoding)
    return dialect, f"{line}{end}{start}".encode(dialect.encoding), TABLE


def shuffle_columns(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Writes the columns in another order; without names, texts and label then have other numbers."""
    order = rng.sample(range(len(table.names)), len(table.names))
    table.names[:] = [table.names[at] for at in order]
    table.rows[:] = [[row[at] for at in order] for row in table.rows]
    table.texts[:], table.label = [order.index(at) for at in table.texts], order.index(table.label)
    return dialect, write(rng, dialect, table), TABLE


def wrong_suffix(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Gives the file another extension."""
    others = [s for s in (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".csv.gz") if s != dialect.suffix]
    return replace(dialect, suffix=rng.choice(others)), content, TABLE


def mixed_ends(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    r"""Ends some lines by ``\r\n`` and others by ``\n``, or adds empty lines."""
    if not dialect.delimited or dialect.quoting:
        return cut(rng, dialect, table, content)
    lines = content.decode(dialect.encoding).split(dialect.end)
    text = "".join(line + rng.choice(["\n", "\r\n", "\n\n"]) for line in lines)
    return dialect, text.encode(dialect.encoding), TABLE


def trailing_delimiter(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Ends each line by a delimiter: a column without a name or a value."""
    if not dialect.delimited:
        return flip(rng, dialect, table, content)
    wide = replace(table, names=[*table.names, ""], rows=[[*row, ""] for row in table.rows])
    return dialect, write(rng, dialect, wide), TABLE


def ragged(rng: Random, dialect: Dialect, table: RandomTable, content: bytes) -> Mutated:
    """Gives one row a cell more or less."""
    if not dialect.delimited:
        return cut(rng, dialect, table, content)
    rows = [list(row) for row in table.rows]
    row = rng.choice(rows)
    row[:] = row[:-1] if rng.random() < 0.5 else [*row, "more"]
    return dialect, write(rng, dialect, replace(table, rows=rows)), BEGINNING


MUTATIONS: dict[str, Mutation] = {
    "cut": cut,
    "bytes replaced": flip,
    "zero byte": zero,
    "second header": double_header,
    "line above": line_above,
    "columns shuffled": shuffle_columns,
    "wrong suffix": wrong_suffix,
    "mixed line ends": mixed_ends,
    "trailing delimiter": trailing_delimiter,
    "ragged row": ragged,
}
