"""What a kill at each operation of a command leaves behind, copied in one run, and which of it makes a difference.

A command stops before each operation, and after half of each write, until its folder is copied. The same command then
runs on each copy. Two copies that differ only in files whose content it neither uses nor leaves in place end alike, so
one of them is enough: drafts of a file, for example, grow with each write, and are deleted unread.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from faults.interposer import Control

Result = TypeVar("Result")
FOLDER = "folder"


@dataclass(frozen=True)
class State:
    """The content of a folder.

    Attributes:
        entries: For each name below it: `FOLDER`, the target of a link behind ``->``, or the digest of a file.
        times: When each file was changed, in nanoseconds.
    """

    entries: dict[str, str]
    times: dict[str, int] = field(repr=False, compare=False)


class Store:
    """Keeps the contents of files by their digests.

    Args:
        folder: Where; created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, root: Path) -> State:
        """Returns the content of ``root``, and keeps what is new in it."""
        entries, times = {}, {}
        for path in root.rglob("*"):
            name = str(path.relative_to(root))
            if path.is_symlink():
                entries[name] = f"->{path.readlink()}"
            elif path.is_dir():
                entries[name] = FOLDER
            else:
                content = path.read_bytes()
                entries[name] = digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                times[name] = path.stat().st_mtime_ns
                if not (kept := self._folder / digest).exists():
                    kept.write_bytes(content)
        return State(entries, times)

    def restore(self, state: State, root: Path) -> None:
        """Makes ``root`` what it was when ``state`` was copied."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for name, entry in sorted(state.entries.items()):
            path = root / name
            if entry == FOLDER:
                path.mkdir()
            elif entry.startswith("->"):
                path.symlink_to(entry[2:])
            else:
                shutil.copyfile(self._folder / entry, path)
                os.utime(path, ns=(state.times[name], state.times[name]))


def record(child: int, control: Control, root: Path, store: Store) -> Iterator[tuple[int, str, State]]:
    """Yields what kills leave: number of the operation, ``kill`` or ``truncate``, and the content of ``root``.

    Args:
        child: Process id of a command with a control of mode ``pause``.
        control: That control.
        root: Working directory of the command.
        store: Keeps the contents.

    Raises:
        RuntimeError: If the command fails.
    """
    before = 0
    while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
        number = control.last().number
        yield number, "truncate" if number == before else "kill", store.copy(root)
        before = number
        os.kill(child, signal.SIGCONT)
    if status != 0:
        raise RuntimeError(
            f"the command that was stopped and copied ended with status {os.waitstatus_to_exitcode(status)}"
        )


class Memory(Generic[Result]):
    """Results of a command by what makes a difference to it: all names, and the content of the files that it needs."""

    def __init__(self) -> None:
        self._results: dict[frozenset[str], list[tuple[dict[str, str | None], Result]]] = {}

    def add(self, before: State, after: State, read: frozenset[str], result: Result) -> None:
        """Keeps the result of a command that found ``before``, left ``after``, and used the files in ``read``."""
        left = {name for name, entry in before.entries.items() if after.entries.get(name) == entry}
        needed = {name: before.entries.get(name) for name in read | left}
        self._results.setdefault(frozenset(before.entries), []).append((needed, result))

    def find(self, state: State) -> Result | None:
        """Returns the result for an earlier state that differs in nothing that was needed; None if there is none."""
        for needed, result in self._results.get(frozenset(state.entries), []):
            if all(state.entries.get(name) == entry for name, entry in needed.items()):
                return result
        return None
