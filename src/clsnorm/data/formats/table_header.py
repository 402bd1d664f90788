"""The header of a table of cells: names of columns, and where a column is."""

from __future__ import annotations

from collections.abc import Sequence

from clsnorm.data.formats.faults import listed_columns
from clsnorm.data.formats.reader import Column
from clsnorm.errors import InputError, did_you_mean


def is_blank(cells: Sequence[str]) -> bool:
    """Is a row empty: no cell, only empty ones, or one of white space?"""
    return not any(cells) or (len(cells) == 1 and not cells[0].strip())


def cleaned(cell: str) -> str:
    """Returns the name of a column without spaces and byte-order marks around it."""
    return cell.strip().strip("\ufeff").strip()


def names_in(cells: Sequence[str]) -> list[str]:
    """Returns the names of the columns in a header, without empty ones at its end."""
    names = [cleaned(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def places_of(columns: Sequence[Column], header: Sequence[str] | int, shown: str) -> dict[Column, int]:
    """Returns the number of each column, as `place_of` does; raises InputError if two are the same."""
    places = {column: place_of(column, header, shown) for column in columns}
    for column, place in places.items():
        if same := [other for other in places if places[other] == place and other != column]:
            raise InputError(f"Expected different columns of {shown}, but {column!r} and {same[0]!r} are the same")
    return places


def place_of(column: Column, header: Sequence[str] | int, shown: str) -> int:
    """Returns the number of a column, from 0.

    Args:
        column: Its name, or its number from 0.
        header: The cells of the header; without a header, how many columns there are.
        shown: The file, as messages name it.

    Raises:
        InputError: If there is no such column, if several have this name, or if its number is the name of another.
    """
    names = [] if isinstance(header, int) else [cleaned(cell) for cell in header]
    width = header if isinstance(header, int) else len(header)
    if isinstance(column, int):
        places = [column] if 0 <= column < width else []
        if str(column) in names and names.index(str(column)) not in places:
            raise InputError(
                f"Expected the number of a column of {shown}, but {column} is also the name of column "
                f"{names.index(str(column))}. Give that number, or rename the columns"
            )
    else:
        exact = [at for at, cell in enumerate(() if isinstance(header, int) else header) if cell == column]
        places = exact or [at for at, name in enumerate(names) if name == cleaned(column)]
    if not places:
        known = listed_columns(names if names else range(width))
        raise InputError(
            f"Expected column {column!r} in {shown}, but it has: {known}.{did_you_mean(str(column), names)}"
        )
    if len(places) > 1:
        raise InputError(
            f"Expected one column {column!r} in {shown}, but columns {' and '.join(map(str, places))}, counted from 0, "
            "have this name. Give the number of one instead"
        )
    return places[0]
