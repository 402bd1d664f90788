"""Errors that are one line to a user, and every check of a value, all named ``require_``."""

import difflib
import errno
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NoReturn

from clsnorm.redaction import shown

RESTORE = "Restore it from a copy, or delete it"
DISK_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space of your quota",
    errno.EFBIG: "Raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "Choose a disk that can be written",
    errno.ENOENT: "Leave a run's folder in place while the command is running",
    errno.EIO: "Check the disk",
}


class InputError(ValueError):
    """A mistake of the user, explained in one line: argument, rule, value, what exists, how to fix it.

    Entry points print the message without a traceback and exit with status 2. Raise it before training starts.

    Args:
        message: Its line breaks, such as those in a quoted name, become spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(part.strip() for part in message.splitlines()))


class DamagedFileError(InputError):
    """A file does not hold what this package wrote to it: bytes are missing, or have changed.

    Its message names the file, the fault, and what the user can do.
    """

    @classmethod
    def of(cls, path: Path, fault: str, advice: str = "") -> "DamagedFileError":
        """Returns the error for ``path``. ``fault`` follows a colon; ``advice`` is a sentence without its full stop."""
        return cls(f"{path} is damaged: {fault}. {advice or RESTORE}")


class DiskError(OSError):
    """A file could not be written: the disk is full or read-only, or its folder is gone. One line names the file.

    Entry points print it without a traceback and exit with status 1.
    """

    @classmethod
    def of(cls, path: Path | str, error: OSError) -> "DiskError":
        """Returns the error for ``path``, which was to be written when ``error`` was raised."""
        return cls(error.errno, error.strerror or str(error), str(path))

    def __str__(self) -> str:
        advice = DISK_ADVICE.get(self.errno or 0, "Remove the cause")
        return f"Cannot write {self.filename}: {self.strerror}. {advice}, then repeat the command"


class LostLeaseError(DiskError):
    """This process was silent for so long that another machine took over its folder; it may write nothing more."""

    def __str__(self) -> str:
        return (
            f"Lost {self.filename}: this process was stopped, or could not reach the disk, for so long that another "
            "one took over. Nothing more was written; repeat the command to see how it ended there"
        )


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


def require_nonnegative(argument: str, value: object, *, or_null: bool = False, advice: str = "") -> None:
    """Raises `InputError` unless ``value`` is a finite number of at least 0."""
    if or_null and value is None:
        return
    if not is_number(value) or not 0 <= value < math.inf:  # type: ignore[operator]
        refuse(argument, f"{'null or ' if or_null else ''}a number of at least 0", value, advice)


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
