"""Standard input, output and error of a command, which may be closed, full, or in an encoding that lacks letters."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence

from clsnorm.errors import DiskError, InputError

NAMES = {"stdin": "r", "stdout": "w", "stderr": "w"}  # in the order of their descriptors


def open_missing() -> None:
    """Opens closed streams (``>&-``) as ``/dev/null``; letters that the output's encoding lacks become ``?``.

    Otherwise the next file that is opened would take the stream's descriptor, and be printed into.
    """
    for number, (name, mode) in enumerate(NAMES.items()):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free descriptor: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def require_utf8(words: Sequence[str]) -> None:
    """Starts Python again in UTF-8 mode if its locale is ASCII only, in which not all file names can be written.

    Raises:
        InputError: If a word is not UTF-8.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise InputError(f"Expected each word of the command to be UTF-8, but got {word!r}")


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Turns an error of standard output, such as a full disk, into one line; a closed pipe is left to the caller.

    Raises:
        DiskError: If standard output cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes again at its end
        raise DiskError.of("standard output", error) from error
