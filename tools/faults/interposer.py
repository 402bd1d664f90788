"""The library that counts file operations and makes one of them fail, and the file that controls it."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("interposer.c")
CONTROL = "FAULTS_CONTROL"  # environment variable: the control file, for processes that a command starts
LEADER = "FAULTS_LEADER"  # environment variable: the command's own process group, which a kill in a worker ends, too
PATH = 4096
LAYOUT = f"=6Q{PATH}s{PATH}s"  # struct control of interposer.c
FIRED = 8  # its second number
MODES = {  # number in interposer.c and errno
    "kill": (1, 0),
    "eio": (2, errno.EIO),
    "eacces": (2, errno.EACCES),
    "enospc": (3, errno.ENOSPC),
    "truncate": (4, 0),
}
PAUSE = "pause"  # no fault: the command stops at each operation
READ = "read"  # logged with the operations, but no operation: a file whose content was used


@dataclass(frozen=True)
class Operation:
    """One logged operation; paths are relative to the watched folder, ``other`` is the target of a rename.

    ``number`` is 100,000 times the operations so far that are not writes, plus the writes since the last of them:
    numbers are equal in all runs of a command, although checkpoints are not always cut into the same writes.
    """

    number: int
    name: str
    size: int
    path: str
    other: str = ""


def compiler() -> str | None:
    """Returns the path of a C compiler, or None if there is none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def build(folder: Path) -> Path:
    """Compiles the library into ``folder`` and returns its path."""
    command = compiler()
    if command is None:
        raise RuntimeError("Injecting faults needs a C compiler (cc, gcc or clang), but none is on the PATH")
    library = folder / "interposer.so"
    subprocess.run([command, "-O1", "-Wall", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def start_under(arguments: list[str]) -> None:
    """Replaces this process by one with the library loaded, unless it is; ``arguments`` are those of Python."""
    if is_loaded():
        return
    library = build(Path(tempfile.mkdtemp(prefix="clsnorm-faults-")))
    os.execve(arguments[0], arguments, {**os.environ, "LD_PRELOAD": str(library)})


def is_loaded() -> bool:
    """Is the library loaded into this process?"""
    return os.environ.get("LD_PRELOAD", "").endswith("interposer.so")


class Control:
    """The control file of one command: which folder is watched, and what happens at which operation.

    Args:
        folder: Where the file and the log are written; outside of ``root``.
        root: Watched folder.
        mode: One of `MODES`; None only counts, ``pause`` stops before each operation and after half of each write.
        number: The operation to hit, as `Operation` numbers them.
        reads: Whether to log files whose content the command uses.
    """

    def __init__(
        self, folder: Path, root: Path, mode: str | None = None, number: int = 0, *, reads: bool = False
    ) -> None:
        self.path, self.log = folder / "control", folder / "operations"
        kind, code = {**MODES, PAUSE: (5, 0), None: (0, 0)}[mode]
        root, log = (os.fsencode(path) for path in (root.resolve(), self.log.absolute()))
        self.path.write_bytes(struct.pack(LAYOUT, 0, 0, number, kind, code, reads, root, log))
        self.log.unlink(missing_ok=True)

    def attach(self) -> None:
        """Starts counting in this process, and in those that it starts."""
        os.environ[CONTROL] = str(self.path)
        ctypes.CDLL(None).attach(os.fsencode(self.path))

    @property
    def fired(self) -> bool:
        """Was an operation hit? Not if the command ended before."""
        return bool(struct.unpack_from("=Q", self.path.read_bytes(), FIRED)[0])

    def operations(self) -> list[Operation]:
        """Returns the operations so far, by number."""
        found = [operation for operation in self._logged() if operation.name != READ]
        return sorted(found, key=lambda operation: operation.number)

    def last(self) -> Operation:
        """Returns the latest operation."""
        return next(operation for operation in reversed(self._logged()) if operation.name != READ)

    def files_read(self) -> frozenset[str]:
        """Returns the files whose content was used so far: opened and not emptied, renamed or linked."""
        return frozenset(operation.path for operation in self._logged() if operation.name == READ)

    def _logged(self) -> list[Operation]:
        if not self.log.exists():
            return []
        lines = (line.split("\t") for line in self.log.read_text(errors="surrogateescape").splitlines())
        return [Operation(int(n), name, int(size), path, other) for n, name, size, path, other in lines]
