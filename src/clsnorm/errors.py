"""`InputError`, for what a user can cause and fix, and every check of a value, all named ``require_``."""

import difflib
import math
from collections.abc import Collection, Iterable
from typing import NoReturn

from clsnorm.redaction import shown


class InputError(ValueError):
    """A mistake of the user, explained in one line: argument, rule, value, what exists, how to fix it.

    Entry points print the message without a traceback and exit with status 2. Raise it before training starts.
    """


def did_you_mean(value: str, choices: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the nearest of ``choices``, or an empty string.

    Example:
        >>> did_you_mean("layernrom", ["layernorm", "rmsnorm"])
        " Did you mean 'layernorm'?"
    """
    near = difflib.get_close_matches(value, list(choices), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def refuse(argument: str, rule: str, value: object, advice: str = "") -> NoReturn:
    """Raises `InputError` in the one form that all checks share.

    Args:
        argument: As the user gives it, such as ``data.batch_size``.
        rule: What it must be: ``a positive number``.
        value: What was given.
        advice: How to fix it, as a sentence without its full stop.
    """
    got = shown(argument, value)
    raise InputError(f"Expected argument `{argument}` to be {rule}, but got {got}{f'. {advice}' if advice else ''}")


def is_number(value: object) -> bool:
    """Returns whether ``value`` is an int or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Returns whether ``value`` is an int; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def require_switch(argument: str, value: object, *, or_null: bool = False, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is True or False: any text, even ``no``, would count as true."""
    if not isinstance(value, bool) and not (or_null and value is None):
        refuse(argument, "true, false or null" if or_null else "true or false", value, advice)


def require_whole(
    argument: str,
    value: object,
    *,
    least: int | None = None,
    most: int | None = None,
    or_null: bool = False,
    advice: str = "",
) -> None:
    """Raises `InputError` unless ``value`` is a whole number from ``least`` to ``most``, both included."""
    if or_null and value is None:
        return
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    if not is_whole(value) or not low <= value <= high:  # type: ignore[operator]
        refuse(argument, f"{'null or ' if or_null else ''}a whole number{_range(least, most)}", value, advice)


def require_positive(argument: str, value: object, *, or_null: bool = False, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is a positive, finite number."""
    if or_null and value is None:
        return
    if not is_number(value) or not 0 < value < math.inf:  # type: ignore[operator]
        refuse(argument, f"{'null or ' if or_null else ''}a positive number", value, advice)


def require_between(argument: str, value: object, low: float, high: float, *, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is a number from ``low`` to ``high``, both included."""
    if not is_number(value) or not low <= value <= high:  # type: ignore[operator]
        refuse(argument, f"a number from {low:g} to {high:g}", value, advice)


def require_fraction(argument: str, value: object, *, meaning: str = "a number", advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is above 0 and at most 1."""
    if not is_number(value) or not 0 < value <= 1:  # type: ignore[operator]
        refuse(argument, f"{meaning} above 0 and at most 1", value, advice)


def require_probability(argument: str, value: object, *, or_null: bool = False, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is at least 0 and below 1, as a probability of dropout must be."""
    if or_null and value is None:
        return
    if not is_number(value) or not 0 <= value < 1:  # type: ignore[operator]
        refuse(argument, f"{'null or ' if or_null else ''}a number from 0 to below 1", value, advice)


def require_choice(argument: str, value: object, choices: Collection[str], *, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is one of ``choices``, and names the nearest one."""
    if value not in choices:
        near = did_you_mean(str(value), choices).strip()
        refuse(argument, f"one of {', '.join(choices)}", value, " ".join(filter(None, (near, advice))))


def _range(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" of at least {least}" if least is not None else "" if most is None else f" of at most {most}"
