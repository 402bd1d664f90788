"""The one exception for what a user can cause and mend, and what all parts need to raise it."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake, told in one line: argument, rule, value, what exists, how to fix.

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


def require_switch(argument: str, value: object, *, or_null: bool = False, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is True or False: any text, also ``no``, would count as true.

    Args:
        argument: As the user gives it.
        value: What was given.
        or_null: Whether None is one of the values, too.
        advice: How to mend it, at the end of the message.
    """
    if not isinstance(value, bool) and not (or_null and value is None):
        rule = "true, false or null" if or_null else "true or false"
        mended = f". {advice}" if advice else ""
        raise InputError(f"Expected argument `{argument}` to be {rule}, but got {value!r}{mended}")
