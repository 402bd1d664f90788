"""The one exception for what a user can cause and mend."""

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
