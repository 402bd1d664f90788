"""Leases: one process at a time writes into a folder, on one machine or on several that share a file system.

A lease is a folder that holds one file, named by a random token. This needs two operations that are atomic on local
disks and on NFS, and neither ``flock`` nor clocks that agree:

- To take it, a process prepares such a folder and renames it to the lease's name. That fails while the other is not
  empty, so of any number of processes one succeeds.
- To give it up, or to end the lease of a dead process, the token's file is deleted. A process that was late can only
  delete a token that is gone already, never the lease of a successor.

The holder changes a counter in its file, the heartbeat, for as long as it lives. A process of the same machine is dead
when the table of processes says so, at once. One of another machine is taken for dead after its heartbeat has been
silent for a time that its lease states (`clsnorm.run_folder.watch`). If it wakes later, it finds its token gone, and
writes nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from clsnorm.errors import DiskError, InputError, LostLeaseError
from clsnorm.files import DRAFT, held, writing
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.watch import Watch

log = logging.getLogger(__name__)
PARENT, WORKERS = ".lease", ".workers.lease"
MACHINES = ".machine"  # how the names begin of the leases of further machines, and of where they meet
OLD = (".lock", ".workers.lock")  # files of earlier versions
SILENCE_VARIABLE = "CLSNORM_LEASE_SILENCE"  # environment variable: seconds of silence until a lease is lost
SILENCE, LEAST_SILENCE = 120.0, 0.5  # seconds
BEATS = 12  # heartbeats in the time of silence
DIGITS = 16
OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.EBUSY)
GONE = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR)
_ours: set[str] = set()  # tokens of this process
_watch = Watch()


class InUseError(InputError):
    """Another process is running in a folder."""


class Lease:
    """A lease that this process may take.

    Args:
        folder: What it is a lease of.
        name: Of the lease in it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._place = folder, folder / name
        self._holder = Holder.here(silence=stated_silence())
        self._file = self._place / self._holder.token
        self._process, self._beats, self._ended = os.getpid(), 0, threading.Event()

    def take(self, *, patient: bool) -> None:
        """Takes the lease and keeps it alive until `release`.

        Args:
            patient: Whether to wait until it is certain whether a silent process of another machine lives.

        Raises:
            InUseError: If another process holds it, or may hold it.
            DiskError: If the folder cannot be written.
        """
        while not self._occupy():
            for file in _files(self._place):
                _end_if_lost(self._folder, file, patient=patient)
        _ours.add(self._holder.token)
        threading.Thread(target=self._keep_alive, name="lease", daemon=True).start()
        for path in self._folder.glob(f"{DRAFT}*"):  # of processes that were killed while they tried; others try again
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    def release(self) -> None:
        """Gives up the lease; does nothing in a fork of the process that took it, or if it has been lost."""
        if os.getpid() != self._process:
            return
        self._ended.set()
        _ours.discard(self._holder.token)
        with contextlib.suppress(OSError):  # left there, it counts as lost
            _evict(self._file)

    def require(self) -> None:
        """Raises `LostLeaseError` unless this process still holds the lease."""
        try:
            os.close(os.open(self._file, os.O_RDONLY))  # opening asks the server, unlike a cached status
        except OSError as error:
            if error.errno in GONE:
                raise LostLeaseError(errno.ESTALE, "its lease is gone", str(self._folder)) from None

    def _occupy(self) -> bool:
        """Renames a prepared folder to the lease's place; False if somebody is there."""
        draft = self._folder / f"{DRAFT}{self._holder.token}"
        with writing(self._place):
            draft.mkdir()
            try:
                (draft / self._file.name).write_text(self._holder.line() + f"{0:0{DIGITS}}\n")
                draft.rename(self._place)
            except OSError as error:
                if error.errno not in (*OCCUPIED, errno.ENOENT):
                    raise
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        if self._file.exists():  # also if the server did it but its answer was lost
            return True
        _remove_empty(self._place)  # on file systems that do not rename over it
        return False

    def _keep_alive(self) -> None:
        while not self._ended.wait(self._holder.silence / BEATS):
            self._beats += 1
            try:
                beat(self._file, self._beats)
            except OSError as error:
                if error.errno in GONE:
                    return  # whoever writes next finds out
            with contextlib.suppress(OSError):
                look_again()


def stated_silence() -> float:
    """Returns after how many seconds without a heartbeat other machines may take a lease of this process.

    Raises:
        InputError: If the environment variable `SILENCE_VARIABLE` is no number of seconds.
    """
    text = os.environ.get(SILENCE_VARIABLE, str(SILENCE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_SILENCE <= seconds < float("inf"):
        raise InputError(
            f"Expected the environment variable {SILENCE_VARIABLE} to be at least {LEAST_SILENCE:g} seconds, "
            f"but got {text!r}"
        )
    return seconds


def beat(file: Path, number: int) -> None:
    """Writes a heartbeat into the file of a lease, which is not created again if it is gone."""
    descriptor = os.open(file, os.O_WRONLY)
    try:
        place = os.fstat(descriptor).st_size - DIGITS - 1
        os.pwrite(descriptor, f"{number:0{DIGITS}}\n".encode(), max(0, place))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def leased(folder: Path, name: str, *, patient: bool = False) -> Iterator[Lease]:
    """Holds a lease of ``folder``; in the ``with`` block, all writing below it fails once the lease is lost.

    Raises:
        InUseError: If another process holds it.
        DiskError: If the folder cannot be written.
    """
    lease = Lease(folder, name)
    lease.take(patient=patient)
    try:
        with held(folder, lease.require), _checked_on_waking(lease):
            yield lease
    finally:
        lease.release()


@contextlib.contextmanager
def _checked_on_waking(lease: Lease) -> Iterator[None]:
    """Checks the lease as soon as the process goes on after it was stopped, before anything else is done."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGCONT) is None:
        yield
        return

    def on_waking(number: int, frame: FrameType | None) -> None:
        if callable(before):
            before(number, frame)
        lease.require()

    before = signal.signal(signal.SIGCONT, on_waking)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before)


def require_free(folder: Path, name: str, *, patient: bool = False) -> None:
    """Raises `InUseError` if another process holds a lease of ``folder``; removes what a dead one left of it."""
    for file in _files(folder / name):
        _end_if_lost(folder, file, patient=patient)
    _remove_empty(folder / name)


def read_holder(folder: Path, name: str = PARENT) -> Holder | None:
    """Returns who holds a lease of ``folder``, as far as it says; None if nobody does, or it is known to be dead."""
    for file in _files(folder / name):
        content = _read(file)
        holder = _holder_in(content) if content is not None else None
        if content is not None and not _is_lost(file, content):
            return holder or Holder("an unknown machine", "", 0, "", file.name, "", SILENCE)
    return None


def look_again() -> None:
    """Looks at the leases that this process has seen; what it does not look at does not count as silence."""
    for file in _watch.paths():
        content = _read(file)
        if content is None:
            _watch.forget(file)
        else:
            _is_lost(file, content)


def _files(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise DiskError.of(place, error) from error


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError as error:
        if error.errno in GONE:
            return None
        raise DiskError.of(file, error) from error


def _holder_in(content: bytes) -> Holder | None:
    return Holder.read(content.partition(b"\n")[0].decode(errors="replace"))


def _is_lost(file: Path, content: bytes) -> bool:
    """Is it certain by now that nobody holds the lease with this file?"""
    holder = _holder_in(content)
    if holder is not None and holder.is_here():
        return holder.is_gone() or (holder.process == os.getpid() and holder.token not in _ours)
    silence = max(holder.silence, LEAST_SILENCE) if holder else SILENCE
    return _watch.silence(file, content, longest_gap=3 * silence / BEATS) >= silence


def _end_if_lost(folder: Path, file: Path, *, patient: bool) -> None:
    """Ends a lease whose holder is dead; raises `InUseError` if it lives, or is not known to be dead.

    With patience, returns or raises only when that is certain.
    """
    waiting = False
    while (content := _read(file)) is not None:
        holder = _holder_in(content)
        beaten = _watch.has_beaten(file, content)
        if _is_lost(file, content):
            _evict(file)
        elif beaten or not patient or (holder is not None and holder.is_here()):
            raise in_use(folder, holder)
        else:
            silence = holder.silence if holder else SILENCE
            if not waiting:
                who = holder or "a process"
                log.warning("%s: %s may still be running in it; waiting up to %.0f s for a sign", folder, who, silence)
            waiting = True
            time.sleep(silence / BEATS / 4)


def in_use(folder: Path, holder: Holder | None) -> InUseError:
    """Returns the error for a folder in which ``holder`` is running."""
    who = holder or "a process of another machine"
    return InUseError(
        f"Expected {folder} to be free, but {who} is running in it. Wait for it to end, or stop it; then the same "
        "command resumes from its last checkpoint"
    )


def _evict(file: Path) -> None:
    """Ends the lease with this file; no other lease can be hit, since no other has its name."""
    _watch.forget(file)
    with writing(file):
        file.unlink(missing_ok=True)
    _remove_empty(file.parent)


def _remove_empty(place: Path) -> None:
    """Removes the folder of a lease that nobody holds."""
    with contextlib.suppress(OSError):  # not empty: somebody has taken it
        place.rmdir()
