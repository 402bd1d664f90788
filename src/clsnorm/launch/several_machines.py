"""One run on several machines that share its folder: the same command is typed on each, or started there by ``srun``.

The first machine to lease the run's folder leads: it stores the resolved configuration, writes where torchrun can reach
it, and waits for the others. Each of these takes a seat, a lease in the same folder, and runs its share of the workers.
Rank 0 is a worker of the leader. All machines watch the leases of the others, so that a lost one ends the run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_sealed
from clsnorm.launch.one_machine import WorkerError, started_workers, worker_error
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.lease import MACHINES, PARENT, InUseError, leased, read_holder, require_free
from clsnorm.seals import read_json

log = logging.getLogger(__name__)
MEETING = f"{MACHINES}s.json"
ADDRESS = "CLSNORM_ADDRESS"  # environment variable: where other machines reach this one, if not by its name
POLL = 0.5  # seconds
PATIENCE = 30.0  # seconds until the folder of a leader must say that it leads several machines
GRACE = 15.0  # seconds in which workers may end after a machine has left


@dataclass(frozen=True)
class Meeting:
    """Where the workers of all machines meet.

    Attributes:
        leader: Token of its lease of the run's folder; a killed one leaves its meeting behind.
        address: Of the leader.
        port: Free there.
        machines: How many.
        processes: On each.
        run: Hash of the configuration.
    """

    leader: str
    address: str
    port: int
    machines: int
    processes: int
    run: str


def require_tasks(machines: int, environment: Mapping[str, str]) -> None:
    """Refuses a step of SLURM that does not start one task for each machine.

    Args:
        machines: ``trainer.num_nodes``.
        environment: Variables of this process.

    Raises:
        InputError: If ``srun`` started another number of tasks, or several on one machine.
    """
    if "SLURM_STEP_ID" not in environment or "SLURM_STEP_NUM_TASKS" not in environment:
        return  # not started by srun
    tasks, nodes = environment["SLURM_STEP_NUM_TASKS"], environment.get("SLURM_STEP_NUM_NODES", str(machines))
    if (tasks, nodes) not in ((str(machines), str(machines)), ("1", "1")):  # one task: the command of one machine
        raise InputError(
            f"Expected srun to start one task on each of {machines} machines (trainer.num_nodes={machines}), but got "
            f"{tasks} tasks on {nodes}. Use srun --nodes={machines} --ntasks-per-node=1"
        )


def lead(folder: Path, *, run: str, machines: int, processes: int, accelerator: str, task: str) -> None:
    """Runs the workers of the first machine, which holds the lease of ``folder``, as soon as all machines are there.

    Args:
        folder: Holds the resolved configuration; on a file system that the machines share.
        run: Hash of that configuration.
        machines: How many.
        processes: Workers on each.
        accelerator: As for `clsnorm.launch.one_machine.launch`.
        task: As there.

    Raises:
        InputError: If the workers refused the user's input.
        WorkerError: If a worker crashed, or a machine was lost.
    """
    seats = _seats(machines)
    for seat in seats:
        require_free(folder, seat)  # of an earlier command
    address = os.environ.get(ADDRESS) or os.environ.get("SLURMD_NODENAME") or platform.node()
    meeting = Meeting(_leader(folder), address, _free_port(), machines, processes, run)
    write_sealed(folder / MEETING, asdict(meeting))
    try:
        log.info("%s: type the same command on %d more machines, which must reach %s", folder, machines - 1, address)
        _await(folder, seats)
        _run(folder, meeting, 0, others=seats, accelerator=accelerator, task=task)
    finally:
        for seat in seats:
            with contextlib.suppress(InUseError, OSError):
                require_free(folder, seat)  # removes that of a machine that was killed
        with contextlib.suppress(OSError):
            (folder / MEETING).unlink()


def join(folder: Path, *, run: str, machines: int, processes: int, accelerator: str, task: str) -> bool:
    """Runs the workers of a further machine; returns whether there was a meeting to join.

    Args:
        folder: In which the leader runs.
        run: Hash of the configuration.
        machines: As for `lead`, like all others.
        processes: Workers on this machine.
        accelerator: As above.
        task: As above.

    Raises:
        InputError: If the leader runs another configuration, or expects another number of machines or workers.
        WorkerError: If a worker crashed, or a machine was lost.
    """
    meeting = _await_meeting(folder)
    if meeting is None:
        return False
    if run != meeting.run:
        raise InputError(f"Expected {folder} to hold this run, but another configuration is running in it")
    if (machines, processes) != (meeting.machines, meeting.processes):
        raise InputError(
            f"Expected trainer.num_nodes={meeting.machines} and {meeting.processes} devices on this machine, as in the "
            f"command that runs in {folder}, but got {machines} and {processes}"
        )
    with _seat(folder, machines) as number:
        others = [PARENT, *(seat for seat in _seats(machines) if seat != _seats(machines)[number - 1])]
        _await(folder, others, leader=True)
        _run(folder, meeting, number, others=others, accelerator=accelerator, task=task)
    _await_end(folder)
    return True


def _seats(machines: int) -> list[str]:
    return [f"{MACHINES}-{number}.lease" for number in range(1, machines)]


@contextlib.contextmanager
def _seat(folder: Path, machines: int) -> Iterator[int]:
    """Takes the first free seat and yields its number."""
    for number, seat in enumerate(_seats(machines), start=1):
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(leased(folder, seat))
            except InUseError:
                continue
            yield number
            return
    raise InUseError(f"Expected a place for this machine in {folder}, but all {machines} machines are there already")


def _await(folder: Path, names: Sequence[str], *, leader: bool = False) -> None:
    """Waits until each of the leases is held; raises WorkerError if there is no leader any more."""
    while any(read_holder(folder, name) is None for name in names):
        if leader and read_holder(folder, PARENT) is None:
            raise WorkerError("the first machine has left; the same command on each machine starts again")
        time.sleep(POLL)


def _await_meeting(folder: Path) -> Meeting | None:
    """Returns the meeting of the process that runs in ``folder``; None if it calls none, or has left."""
    end = time.monotonic() + PATIENCE
    while (leader := _leader(folder)) and (time.monotonic() < end or _is_for_several(folder)):
        with contextlib.suppress(DamagedFileError, OSError, TypeError):
            meeting = Meeting(**read_json(folder / MEETING))
            if meeting.leader == leader:
                return meeting
        time.sleep(POLL)
    return None


def _leader(folder: Path) -> str:
    """Returns the token of the lease of ``folder``; empty if nobody holds it."""
    return getattr(read_holder(folder, PARENT), "token", "")


def _is_for_several(folder: Path) -> bool:
    """Does the running configuration say that a meeting will be called, however long its leader takes to start?"""
    with contextlib.suppress(DamagedFileError, AttributeError):
        return int(RunFolder(folder).read_config().get("trainer", {}).get("num_nodes") or 1) > 1
    return False


def _await_end(folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and read_holder(folder, PARENT) is not None:
        time.sleep(POLL)


def _run(folder: Path, meeting: Meeting, number: int, *, others: Sequence[str], accelerator: str, task: str) -> None:
    place = [
        f"--nnodes={meeting.machines}",
        f"--node-rank={number}",
        f"--master-addr={meeting.address}",
        f"--master-port={meeting.port}",
    ]
    words = [str(folder), str(meeting.processes), accelerator, task, *place]
    with started_workers(words, processes=meeting.processes) as (workers, fallback):
        lost = _watch(folder, workers, others)
        status = workers.returncode
    if status == 0:
        return
    error = worker_error(folder, status, fallback) if status is not None else None
    if error is None or (lost and not isinstance(error, InputError | KeyboardInterrupt)):
        why = f" (here: {error})" if error else ""
        raise WorkerError(f"{lost} was lost; the same command on each machine resumes the run{why}")
    raise error


def _watch(folder: Path, workers: subprocess.Popen[Any], others: Sequence[str]) -> str:
    """Waits for the workers, but not longer than `GRACE` after a machine has left; returns which one has, or ""."""
    hosts = {name: getattr(read_holder(folder, name), "host", "another") for name in others}
    left: dict[str, float] = {}
    while workers.poll() is None and not any(time.monotonic() - since > GRACE for since in left.values()):
        for name in others:
            if read_holder(folder, name) is None:
                left.setdefault(name, time.monotonic())
        time.sleep(POLL)
    return next((f"machine {hosts[name]}" for name in others if name in left or read_holder(folder, name) is None), "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
