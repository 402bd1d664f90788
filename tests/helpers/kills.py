"""Runs in forks that are killed by SIGKILL at a hook, and all that a run leaves behind, to compare."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from fork_server import ForkServer, start, wait
from runs import rows, wrap_hooks

from clsnorm.distributed import rank
from clsnorm.launch.worker import join_and_run
from clsnorm.run_folder import RunFolder

# Not compared; `files` holds the sha256 of metrics.csv, where times are logged, and of the events of each resume.
TIMES = (
    "seconds",
    "_seconds",
    "examples_per_second",
    "profile",
    "peak_memory_mb",
    "commit",
    "later_commits",
    "digest",
    "files",
)


_workers: ForkServer  # of the run in this process


def fork(work: Callable[[], Any]) -> int:
    """Runs ``work`` in a fork of this process and returns its exit status; minus the signal if one killed it.

    ``work`` may train on several processes, by `launch`.
    """
    return wait(start(partial(_with_workers, work)))


def _with_workers(work: Callable[[], Any]) -> None:
    global _workers
    _workers = ForkServer(_join)
    work()


def _join(request: dict[str, Any]) -> None:
    os.environ |= request["environment"] | {"RANK": request["rank"], "LOCAL_RANK": request["rank"]}
    join_and_run(Path(request["folder"]), request["accelerator"], request["task"])


def launch(folder: Path, *, processes: int, accelerator: str, task: str) -> None:
    """Does what `clsnorm.launch.one_machine.launch` does, with forks as workers: they import nothing again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "forks"}
    request: dict[str, Any] = {"folder": str(folder), "accelerator": accelerator, "task": task}
    request["environment"] = dict(os.environ) | group
    requests = [request | {"rank": str(number)} for number in range(processes)]
    assert _workers.run(requests) == [0] * processes


def _at_hooks(visit: Callable[[str], None]) -> None:
    """Calls ``visit`` before each hook of Lightning, for the rest of the process, with a name of that moment.

    A run that is resumed at an earlier moment reaches a moment of the same name. Of several processes, each calls it.
    """
    passes = [0]

    def watched(trainer: pl.Trainer, hook: str, proceed: Callable[[], Any]) -> Any:
        state = trainer.state
        passes[0] += hook == "on_test_start"
        part = f"pass {passes[0]}" if state.fn == "test" else f"step {trainer.global_step}"
        visit(f"{state.fn} {state.stage} {part} {hook}")
        return proceed()

    wrap_hooks(watched)


def moments_of(work: Callable[[], Any], record: Path) -> list[str]:
    """Runs ``work`` in a fork and returns the moments it reached, each once, in order; ``record`` is for them."""

    def recorded() -> None:
        names: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in names and rank() == 0:
                names[name] = None
                record.write_text(json.dumps([*names]))

        _at_hooks(visit)
        _with_workers(work)

    assert wait(start(recorded)) == 0
    found: list[str] = json.loads(record.read_text())
    return found


def last_of_each_hook(moments: list[str]) -> list[str]:
    """Returns the last moment of each hook in each phase, in order."""
    last = {(moment.split()[0], moment.split()[1], moment.split()[-1]): moment for moment in moments}
    return sorted(last.values(), key=moments.index)


def killed_at(work: Callable[[], Any], moment: str, *, of: int = 0) -> bool:
    """Runs ``work`` in a fork and returns whether it was killed at ``moment``.

    Several processes are killed together when the one of rank ``of`` comes to that moment.
    """

    def visit(name: str) -> None:
        if name == moment and rank() == of:
            os.killpg(0, signal.SIGKILL)

    def doomed() -> None:
        os.setpgrp()
        _at_hooks(visit)
        _with_workers(work)

    status = wait(start(doomed))
    assert status in (0, -signal.SIGKILL)
    return status != 0


def killed_after_write(work: Callable[[], Any], name: str) -> None:
    """Runs ``work`` in a fork and kills it as soon as a file or folder of that name is in place."""

    def doomed() -> None:
        for method in ("replace", "rename"):
            setattr(Path, method, _deadly(getattr(Path, method), name))
        work()

    assert wait(start(doomed)) == -signal.SIGKILL, f"nothing has written {name}"


def _deadly(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def place(path: Path, target: Path) -> Any:
        done = original(path, target)
        if target.name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return place


def contents(folder: Path) -> dict[str, Any]:
    """Returns all that a finished run left behind, except times, memory and commits."""
    files = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    found: dict[str, Any] = {"files": sorted(name for name in files if not name.startswith("changes"))}
    results = json.loads((folder / "results.json").read_text())
    found["results"] = {key: value for key, value in results.items() if not key.endswith(TIMES)}
    found["changes"] = RunFolder(folder).changes(results)
    found["predictions"] = (folder / "predictions.parquet").read_bytes()
    found["weights"] = {
        name: tensor.numpy().tobytes()
        for name, tensor in torch.load(folder / "selected.ckpt", weights_only=True)["state_dict"].items()
    }
    for path in sorted(folder.glob("statistics/**/*.npz")):
        with np.load(path) as arrays:
            found[path.name] = {name: array.tobytes() for name, array in arrays.items()}
    found["metrics"] = rows(folder / "metrics.csv")
    found["events"] = [
        row | ({"value": ""} if row["kind"] == "recalibrated" else {})
        for row in rows(folder / "events.csv")
        if row["kind"] != "resumed"
    ]
    return found


def differing(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Returns the names of what differs, with the values of small things."""
    names = []
    for key in sorted(expected.keys() | found.keys()):
        first, second = expected.get(key), found.get(key)
        if first == second:
            continue
        if isinstance(first, dict) and isinstance(second, dict):
            names += [f"{key}/{name}" for name in differing(first, second)]
        else:
            names.append(key if isinstance(first, bytes) else f"{key}: {first} != {second}")
    return names
