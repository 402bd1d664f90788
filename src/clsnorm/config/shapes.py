"""Shapes of values: each is a check of a key and its unresolved value; containers are built from those of their parts.

A value must be plain where it could otherwise lead to code: no interpolation, whose value could change between the
check and its use, and no nested ``_target_``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from clsnorm.errors import InputError, refuse, require_choice

Shape = Callable[[str, Any], None]  # raises InputError


def anything(place: str, value: Any) -> None:
    """Admits any value: for keys that only place or describe something."""


def scalar(place: str, value: Any) -> None:
    """Admits a number, a switch, null, or text without interpolations, as overrides are."""
    if not isinstance(value, str | int | float | Enum | None) or "${" in str(value):
        refuse(place, "a plain value", value)


def plain(place: str, value: Any) -> None:
    """Admits a scalar that is not a reference to an object, as ``ext://`` is to ``logging.config``."""
    scalar(place, value)
    if isinstance(value, str) and re.match(r"[a-z]+://", value):
        refuse(place, "a plain value", value)


def word(place: str, value: Any) -> None:
    """Admits a plain value whose text has neither spaces nor line breaks."""
    plain(place, value)
    if isinstance(value, str) and not re.fullmatch(r"[\w.,:*/@+-]*", value):
        refuse(place, "a number or one word", value)


def name(place: str, value: Any) -> None:
    """Admits what can be a file's name in any folder."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-][\w.-]*|\?\?\?", value):
        refuse(place, "a name of letters, digits, dots and dashes", value)


def below(parent: str) -> Shape:
    """Admits a path below the folder ``parent``."""

    def check(place: str, value: Any) -> None:
        if ".." in str(value).split("/") or str(value).startswith("/"):
            refuse(place, f"a folder below {parent}", value)

    return check


def empty(advice: str) -> Shape:
    """Admits nothing. Its refusal shows no values of a mapping: they could be secrets."""

    def check(place: str, value: Any) -> None:
        if value:
            names = ", ".join(map(str, value)) if isinstance(value, list | dict) else repr(value)
            raise InputError(f"Expected `{place}` to stay empty, but got {names}. {advice}")

    return check


def settled(wanted: bool | None, reason: str) -> Shape:
    """Admits one value alone."""

    def check(place: str, value: Any) -> None:
        if value is not wanted:
            shown = "null" if wanted is None else str(wanted).lower()
            raise InputError(f"Expected {place} to stay {shown}, since {reason}, but got {value}. Leave it out")

    return check


def one_of(*choices: str) -> Shape:
    """Admits null or one of ``choices``."""
    return lambda place, value: None if value is None else require_choice(place, value, choices)


def either(choice: str, shape: Shape) -> Shape:
    """Admits ``choice``, which need not fit ``shape``, or what fits it."""
    return lambda place, value: None if value == choice else shape(place, value)


def each(shape: Shape) -> Shape:
    """Admits null, or a list or mapping whose entries fit ``shape``."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, list | dict | None):
            refuse(place, "a list or a mapping", value)
        entries = value.items() if isinstance(value, dict) else enumerate(value or ())
        for key, entry in entries:
            if str(key).startswith("_"):  # such as _target_
                raise InputError(f"Expected `{place}` to hold names of its entries, but got `{key}`. Leave it out")
            shape(f"{place}.{key}", entry)

    return check


def mapping(shapes: Mapping[str, Shape]) -> Shape:
    """Admits null, or a mapping that has only the keys of ``shapes``."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, dict | None):
            refuse(place, "a mapping", value)
        for key, entry in (value or {}).items():
            if key not in shapes:
                raise InputError(
                    f"Expected `{place}` to hold only {', '.join(shapes)}, but got {key!r}: a configuration must not "
                    "run code. Leave it out"
                )
            shapes[key](f"{place}.{key}", entry)

    return check


def keys(names: str, shape: Shape) -> dict[str, Shape]:
    """Returns ``shape`` for each of the space-separated ``names``."""
    return dict.fromkeys(names.split(), shape)
