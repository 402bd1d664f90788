"""A real SLURM on this machine: a controller and two compute nodes on loopback, for as long as a test needs it."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = (
    "slurmctld",
    "slurmd",
    "sbatch",
    "squeue",
    "scontrol",
    "munged",
)  # Debian: slurmctld slurmd slurm-client munge
PLACES = "/usr/sbin:/usr/local/sbin:/sbin"
NODES = ("n1", "n2")
CORES = 2  # of each node, whatever this machine has
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=300
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES PriorityTier=1 GraceTime=60 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=n1,n2 PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Returns the programs that are not installed."""
    return [name for name in PROGRAMS if not _find(name)]


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PLACES}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


class SlurmCluster:
    """Starts in ``folder``, which must have a short path, and ends with `stop`.

    Partition ``main`` is the default; jobs in ``urgent`` preempt those in ``main``, which are requeued after a minute
    of grace.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", *NODES):
            (folder / name).mkdir(exist_ok=True)
        folder.chmod(0o755)
        self._configure()
        self._start("munged", "--foreground", "--force", f"--key-file={folder}/munge.key", *self._munge())
        self._wait_for(lambda: (folder / "munge.socket").exists())
        self._start("slurmctld", "-D", "-i", "-f", str(self.configuration))
        for node in NODES:
            self._start("slurmd", "-D", "-N", node, "-f", str(self.configuration))
        self._wait_for(lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D") == str(len(NODES)))

    def _configure(self) -> None:
        controller, *ports = _free_ports(1 + len(NODES))
        host = platform.node().partition(".")[0]
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CORES} State=UNKNOWN"
            for name, port in zip(NODES, ports, strict=True)
        )
        text = CONFIGURATION.format(
            host=host, controller=controller, folder=self.folder, user=getpass.getuser(), nodes=nodes
        )
        self.configuration.write_text(text)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)

    def _munge(self) -> list[str]:
        names = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
        return [f"--{option}={self.folder}/{name}" for option, name in names.items()]

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.configuration)}

    def run(self, *words: str) -> str:
        """Runs a command of SLURM and returns what it prints; empty if it fails."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def state(self, job: str) -> str:
        """Returns the state of a job, also of one that has ended within the last minutes: ``RUNNING``, ``FAILED``."""
        shown = dict(word.partition("=")[::2] for word in self.run("scontrol", "-o", "show", "job", job).split())
        return shown.get("JobState", "")

    def stop_controller(self) -> None:
        """Ends the controller alone: nothing answers any more."""
        _end(self._processes[1])

    def stop(self) -> None:
        """Cancels all jobs and ends all processes."""
        self.run("scancel", f"--user={getpass.getuser()}")
        deadline = time.monotonic() + 20
        while self.run("squeue", "-h") and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in reversed(self._processes):
            _end(process)

    def _start(self, name: str, *words: str) -> None:
        program, log = _find(name), (self.folder / f"{name}.out").open("ab")
        assert program is not None
        self._processes.append(subprocess.Popen([program, *words], stdout=log, stderr=log, env=self.environment))
        log.close()

    def _wait_for(self, condition: object) -> None:
        deadline = time.monotonic() + 120
        while not condition():  # type: ignore[operator]
            logs = "\n".join(path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.out"))
            ended = [process.args for process in self._processes if process.poll() is not None]
            assert not ended, f"{ended}: {logs}"
            assert time.monotonic() < deadline, logs
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster for the tests of a module, which are skipped if SLURM is not installed."""
    if absent := missing():
        pytest.skip(f"SLURM is not installed: no {', '.join(absent)}")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    found = SlurmCluster(folder)
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)
