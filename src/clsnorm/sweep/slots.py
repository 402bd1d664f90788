"""Where the jobs of one machine run side by side: cores and devices of each."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clsnorm.errors import InputError, require_whole
from clsnorm.launch.devices import GPUS, MIN_PROCESSES
from clsnorm.sweep.planned_job import PlannedJob

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")  # of PyTorch and of the tokenizer
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container
N_JOBS = "hydra.launcher.n_jobs"


@dataclass(frozen=True)
class Slot:
    """The share of a machine that one job at a time gets.

    Attributes:
        threads: How many its processes have together.
        devices: GPUs or MIG slices, by index or UUID; None where jobs use none.
        processes: Of its job.
    """

    threads: int
    devices: tuple[str, ...] | None = None
    processes: int = 1

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of its worker; numbers of threads that the user has set stay."""
        share = str(max(1, self.threads // self.processes))
        found = {name: share for name in THREADS if not os.environ.get(name)}
        return found | ({} if self.devices is None else {VISIBLE: ",".join(self.devices)})


def slots(jobs: Sequence[PlannedJob], n_jobs: int, *, oversubscribe: bool) -> list[Slot]:
    """Divides this machine among jobs that run side by side.

    Args:
        jobs: The jobs of the sweep; each slot has room for the largest one.
        n_jobs: How many run at once; -1: as many as there is room for.
        oversubscribe: Whether jobs may share a device, or a core.

    Raises:
        InputError: If there is no room for so many, or ``n_jobs`` is no such number.
    """
    if n_jobs != -1:
        require_whole(N_JOBS, n_jobs, least=1, advice="-1: as many as there is room for")
    processes = max((processes_of(job) for job in jobs), default=1)
    found = devices() if any(may_use_gpus(job) for job in jobs) else []
    cores = available_cores()
    if found and processes == math.inf:
        processes = max(1, len(found) // n_jobs) if n_jobs > 0 else len(found)
    each = int(processes) if processes < math.inf else 1
    room = (len(found) if found else max(MIN_PROCESSES, cores)) // each
    count = min(max(1, room) if n_jobs == -1 else n_jobs, max(1, len(jobs)))
    if count > room and not oversubscribe and count * each > 1:
        _refuse_oversubscription(n_jobs, each, room, "GPUs" if found else "cores", len(found) if found else cores)
    threads = max(1, cores // count)
    if not found:
        return [Slot(threads, processes=each) for _ in range(count)]
    shares = [[found[(slot * each + place) % len(found)] for place in range(each)] for slot in range(count)]
    return [Slot(threads, tuple(dict.fromkeys(share)), each) for share in shares]


def _refuse_oversubscription(n_jobs: int, each: int, room: int, kind: str, there: int) -> None:
    of_each = f" with {each} processes each" if each > 1 else ""
    fits = f"Set {N_JOBS}={room}, or" if room else "Lower trainer.devices, or"
    raise InputError(
        f"Expected {N_JOBS} to leave {'a GPU' if kind == 'GPUs' else 'a core'} to each process, but got {n_jobs}"
        f"{of_each} for {there} {kind}. {fits} hydra.launcher.oversubscribe=true to share them"
    )


def processes_of(job: PlannedJob) -> float:
    """Returns how many processes a job has; infinity if it takes all GPUs of the machine."""
    devices = job.settings.get("devices")
    if devices == "auto":
        return math.inf
    return devices if isinstance(devices, int) and not isinstance(devices, bool) and devices > 0 else 1


def may_use_gpus(job: PlannedJob) -> bool:
    """Returns whether a job takes GPUs where there are some."""
    return str(job.settings.get("accelerator", "auto")) in (*GPUS, "auto")


def devices() -> list[str]:
    """Returns the GPUs that this process may use; of one that is divided its MIG slices. Empty if there are none."""
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [word.strip() for word in visible.split(",") if word.strip() and word.strip() != "-1"]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_devices(done.stdout) if done.returncode == 0 else []


def parse_devices(listing: str) -> list[str]:
    r"""Returns the UUIDs in the output of ``nvidia-smi -L``, of a divided GPU those of its slices.

    Example:
        >>> parse_devices("GPU 0: A (UUID: GPU-1)\n  MIG 1g Device 0: (UUID: MIG-2)\nGPU 1: A (UUID: GPU-3)")
        ['MIG-2', 'GPU-3']
    """
    by_gpu: list[tuple[str, list[str]]] = []
    for line in listing.splitlines():
        uuid = re.search(r"UUID: ([\w/-]+)", line)
        if uuid and line.startswith("GPU"):
            by_gpu.append((uuid[1], []))
        elif uuid and by_gpu:
            by_gpu[-1][1].append(uuid[1])
    return [device for gpu, slices in by_gpu for device in (slices or [gpu])]


def available_cores() -> int:
    """Returns how many cores this process may use, by its affinity and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # none, or "max"
        return cores
