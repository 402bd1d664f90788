"""Runs commands in forks of this process, which has the slow modules imported already."""

from __future__ import annotations

import atexit
import hashlib
import importlib
import itertools
import os
import pickle
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from faults.interposer import LEADER, Control

checkout = Path(__file__).parents[2]  # the working tree whose code is run
LIMIT = 300.0  # seconds after which a command counts as hanging
HUNG = -1000
MODULES = ["torch", "transformers", "transformers.models.bert.modeling_bert", "datasets", "pandas", "pyarrow.parquet",
           "pytorch_lightning", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
           "clsnorm.experiment.run", "clsnorm.experiment.job", "clsnorm.analyze.entry", "clsnorm.analyze.analysis",
           "clsnorm.callbacks", "clsnorm.normalizers", "clsnorm.optim"]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a command ended; ``status`` is minus the signal if one killed it, `HUNG` if it did not end."""

    status: int
    error: str


def warm_up() -> None:
    """Imports what commands import, and composes their configurations once, which fills the caches of parsers."""
    for name in MODULES:
        importlib.import_module(name)
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from clsnorm.command.composition import register_resolvers

    register_resolvers()
    with initialize_config_dir(str(checkout / "conf"), version_base="1.3"):
        for name in ("train", "analyze"):
            compose(name, ["data=files", "data.train=x", "model=any", "model.path=x"], return_hydra_config=True)
    GlobalHydra.instance().clear()


def run(command: list[str], *, folder: Path, notes: Path, control: Control | None = None) -> Outcome:
    """Runs a command and waits for it; the arguments are those of `start`."""
    child = start(command, folder=folder, notes=notes, control=control)
    return outcome(wait(child, LIMIT), notes)


def start(command: list[str], *, folder: Path, notes: Path, control: Control | None = None, shell: bool = False) -> int:
    """Starts a command as if it were typed in ``folder`` and returns its process id; it leads a process group.

    Args:
        command: ``train.py`` or ``-m module``, and its arguments.
        folder: Working directory, which also has the cache.
        notes: Folder for standard output and standard error.
        control: What to inject.
        shell: Start a new Python, as a shell would, instead of a fork.
    """
    return fork(lambda: _in_child(command, folder, notes, control, _replace if shell else _execute))


def outcome(status: int, notes: Path) -> Outcome:
    """Returns how a command ended that had ``notes`` for its output."""
    return Outcome(status, (notes / "stderr").read_text(errors="replace"))


def fork(work: Callable[[], int]) -> int:
    """Runs ``work`` in a fork and returns its process id; it ends with the status that ``work`` returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    status = 1
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(child: int, limit: float) -> int:
    """Waits for a leader of a process group and returns its status, `HUNG` if the group was killed after ``limit``."""
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        found, code = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def _in_child(
    command: list[str], folder: Path, notes: Path, control: Control | None, execute: Callable[[list[str]], None]
) -> int:
    atexit._clear()  # what the parent does at exit, such as removing this folder
    os.setsid()
    os.environ[LEADER] = str(os.getpid())
    os.chdir(folder)
    for number, path in ((1, notes / "stdout"), (2, notes / "stderr")):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ["CLSNORM_CACHE"] = str(folder / "cache")
    os.environ["CLSNORM_LEASE_SILENCE"] = "1e6"  # no heartbeats: they would come at other moments in each run
    (folder / "tmp").mkdir(exist_ok=True)  # within the watched folder: libraries write drafts there
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    _measure_nothing()
    _draw_once(notes.parent / "drawn")
    if control:
        control.attach()
    try:
        execute(command)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    return status


def _measure_nothing() -> None:
    """Makes equal runs write equal files: time is the number of times that it was asked for, and memory is constant."""
    from clsnorm.records.memory import PeakMemory

    time.perf_counter = itertools.count(0.0, 1e-4).__next__
    PeakMemory.mb = lambda _: 0.0


def _draw_once(memory: Path) -> None:
    """Makes analyses draw a figure only if none with the same numbers was drawn: drawing takes most of their time.

    Args:
        memory: Folder of the drawn figures, outside the watched one.
    """
    from clsnorm.analyze import drawings

    memory.mkdir(exist_ok=True)
    for name in [name for name in vars(drawings) if name.startswith("draw_")]:
        setattr(drawings, name, partial(_drawn, memory, getattr(drawings, name)))


def _drawn(memory: Path, draw: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    given = pickle.dumps((draw.__name__, arguments, options))
    file = memory / hashlib.blake2b(given, digest_size=16).hexdigest()
    if not file.exists():
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_bytes(pickle.dumps(draw(*arguments, **options)))
        draft.replace(file)
    return pickle.loads(file.read_bytes())  # written by `_drawn`


def _replace(command: list[str]) -> None:
    os.environ.pop("LD_PRELOAD", None)
    words = command if command[0] == "-m" else [str(checkout / command[0]), *command[1:]]
    os.execv(sys.executable, [sys.executable, *words])


def _execute(command: list[str]) -> None:
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [str(checkout / command[0]), *command[1:]]
        sys.path.insert(0, str(checkout))
        runpy.run_path(sys.argv[0], run_name="__main__")
