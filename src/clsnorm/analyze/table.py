"""``analysis.csv``: every number of an analysis, one a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clsnorm.analyze.stored_analyses import NULLS
from clsnorm.pages.spreadsheet import csv_text

COLUMNS = ("side", "place", "statistic", "value", *NULLS, "rows", "not_finite")


def as_csv(record: dict[str, Any]) -> str:
    """Returns the numbers of ``analysis.json`` as CSV text with the `COLUMNS`.

    ``null_low`` and ``null_high`` are the ends of the interval that holds 95 % of the null; ``p_below`` and ``p_above``
    the probabilities of such a value or a smaller or larger one. ``side`` is ``before``, ``after``, or
    ``change`` for the comparison of the two.
    """
    empty = [None] * (len(COLUMNS) - 4)
    return csv_text(COLUMNS, [*_statistics(record), *([*row, *empty] for row in _comparisons(record))])


def _statistics(record: dict[str, Any]) -> Iterator[list[Any]]:
    for side, points in record["sides"].items():
        for place, numbers in points.items():
            counts = record["counts"][side][place]
            for name, number in numbers.items():
                nulls = [number[part] for part in NULLS]
                yield [side, place, name, number["value"], *nulls, counts["rows"], counts["not_finite"]]


def _comparisons(record: dict[str, Any]) -> Iterator[list[Any]]:
    for side, found in record["similarity"].items():
        for place, values in zip(found["places"], found["cka"], strict=True):
            for other, value in zip(found["places"], values, strict=True):
                yield [side, place, f"similarity/cka/{other}", value]
    if head := record["head"]:
        yield ["after", head["place"], "head/nc3", head["nc3"]]
    for place, changes in record["changes"].items():
        for name, value in changes.items():
            yield ["change", place, name, value]
