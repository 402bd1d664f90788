"""Commands whose arguments are words ``key=value``, taken as they are typed.

Hydra's grammar would give commas, quotes and brackets in a text a meaning.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence

from clsnorm.errors import InputError, did_you_mean


def read_words(
    words: Sequence[str], options: Mapping[str, str], *, about: str, required: Collection[str] = ()
) -> dict[str, str]:
    """Returns the value of each given option, by name.

    Args:
        words: Each ``key=value``. With ``--help`` or ``-h`` among them the options are printed, and the command ends.
        options: What each option means, by name.
        about: What the command does: its docstring.
        required: Names of options that must be given.

    Raises:
        InputError: If a word has another form, names no option or one twice, or a required option is missing.
        SystemExit: With status 0, after the help.

    Example:
        >>> read_words(["run=a", "text=x=1, y"], {"run": "a folder", "text": "a text"}, about="")
        {'run': 'a', 'text': 'x=1, y'}
    """
    if {"--help", "-h"} & set(words):
        print(_help(options, about))
        raise SystemExit(0)
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(
                f"Expected arguments of the form KEY=VALUE, but got {word!r}. Put a value with spaces into quotes; "
                "--help lists all"
            )
        if key not in options:
            near = did_you_mean(key, options)
            raise InputError(f"Expected an argument that exists, but got {key!r}.{near} There are {', '.join(options)}")
        if key in found:
            raise InputError(f"Expected {key} once, but got {key}={found[key]} and {key}={value}. Leave one out")
        found[key] = value
    if missing := [name for name in required if not found.get(name)]:
        raise InputError(f"Expected {missing[0]}=..., {options[missing[0]]}. --help lists all")
    return found


def _help(options: Mapping[str, str], about: str) -> str:
    width = max(map(len, options)) + 1
    lines = [
        textwrap.fill(meaning, 100, initial_indent=f"  {name + '=':<{width}}  ", subsequent_indent=" " * (width + 4))
        for name, meaning in options.items()
    ]
    return "\n".join([about.strip(), "", *lines])
