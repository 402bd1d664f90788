"""Which class each label of a file means, given the labels that the configuration states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.config.spelling import fold, is_typed, number, same, spell
from clsnorm.data.formats.faults import names_of
from clsnorm.errors import InputError


def twice(stated: Sequence[Any], *, merged: bool = False) -> tuple[Any, Any] | None:
    """Returns the first two of ``stated`` that mean the same, or None; if ``merged``, also two that look the same."""
    names: dict[Any, Any] = {}
    typed = [label for label in stated if is_typed(label)]
    for label in stated:
        key = fold(spell(label)) if merged else spell(label)
        if key in names:
            return names[key], label
        names[key] = label
        for other in stated if is_typed(label) else typed:
            if other is not label and same(other, label):
                return label, other
    return None


def match(found: Mapping[str, Any], stated: Sequence[Any], names: Sequence[str], *, merged: bool) -> dict[str, int]:
    """Returns the id of each label of a file that means one of ``stated``; the others are left out.

    A label means the stated one that is spelled like it, else one that means the same, such as a stated True for
    ``TRUE``; if ``merged``, else one that looks the same.

    Args:
        found: The labels of a file by their spelling.
        stated: The labels in the order of their ids.
        names: How the files spell them, as far as that is known; else empty.
        merged: Whether labels that look the same are one class.
    """
    known = [(spell(label), i) for i, label in enumerate(stated)] + [(name, i) for i, name in enumerate(names)]
    exact = {name: i for name, i in known if name}
    looks = {fold(name): i for name, i in exact.items()} if merged else {}
    typed = [i for i, label in enumerate(stated) if is_typed(label)]
    ids: dict[str, int] = {}
    for name, label in found.items():
        at = exact.get(name)
        if at is None:
            alike = [i for i in (range(len(stated)) if is_typed(label) else typed) if same(stated[i], label)]
            at = alike[0] if len(alike) == 1 else looks.get(fold(name))
        if at is not None:
            ids[name] = at
    return ids


def require_one_word(ids: Mapping[str, int], stated: Sequence[Any], names: Sequence[str]) -> None:
    """Refuses a stated value that means different words; forms of one word or number are one class.

    Args:
        ids: The result of `match`.
        stated: As for `match`.
        names: As for `match`.

    Raises:
        InputError: If a stated value could mean different labels of the files, such as False for ``no`` and ``off``.
    """
    words: dict[int, list[str]] = {i: [name] if name else [] for i, name in enumerate(names)}
    for name, at in ids.items():
        words[at].append(name)
    for at, label in enumerate(stated):
        if is_typed(label) and len({fold(name) for name in words[at]}) > 1:
            raise InputError(
                f"Expected each of data.labels to mean one label of the files, but {label!r} could mean "
                f"{names_of(map(repr, dict.fromkeys(words[at])))}. Quote the labels in data.labels, spelled as in the "
                "files"
            )


def codes(found: Mapping[str, Any], stated: Sequence[Any]) -> dict[str, int]:
    """Returns the ids of labels that are codes: 0 means the first stated name.

    Empty if a label is none, or if a stated label is itself a number or another value, since 0 could then be a name.
    """
    if any(is_typed(label) or number(label) is not None for label in stated):
        return {}
    ids = {str(i): i for i in range(len(stated))} | {f"{i}.0": i for i in range(len(stated))}
    return {name: ids[name] for name in found} if found.keys() <= ids.keys() else {}
