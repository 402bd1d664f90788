"""Processes of a launcher: their environment, what they print, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clsnorm.command.sweep import WORKER
from clsnorm.files import is_alive
from clsnorm.sweep import worker_process
from clsnorm.sweep.worker_process import WorkerProcess, own_command

WAITS = "import time\nprint('ready', flush=True)\ntime.sleep(60)"


def as_worker(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(worker_process, "own_command", lambda: [sys.executable, "-c", code])


def wait_for_text(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not path.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def test_the_same_command_is_started_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from clsnorm.sweep.worker_process import own_command\nprint(own_command()[1:])\n")
    done = subprocess.run([sys.executable, str(script), "-m", "a=b c"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([str(script), "-m", "a=b c"])
    assert own_command()[0] == sys.executable


def test_a_worker_knows_that_it_is_one_and_prints_into_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = f"import os, sys; print(os.environ['{WORKER}'], os.environ['SHARE']); sys.exit('error: no\\nroom')"
    as_worker(monkeypatch, code)
    worker = WorkerProcess(tmp_path, {"SHARE": "half"}, tmp_path / "logs" / "1.log")
    worker.end(60)
    assert worker.status() == 1
    assert worker.last_lines() == f"{tmp_path} half error: no room"


def test_ctrl_c_ends_it_and_patience_has_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    as_worker(monkeypatch, WAITS)
    worker = WorkerProcess(tmp_path, {}, tmp_path / "1.log")
    wait_for_text(tmp_path / "1.log")
    worker.interrupt()
    worker.end(60)
    assert worker.status() not in (None, 0)
    as_worker(monkeypatch, "import signal\nsignal.signal(2, signal.SIG_IGN)\n" + WAITS)
    deaf = WorkerProcess(tmp_path, {}, tmp_path / "2.log")
    wait_for_text(tmp_path / "2.log")
    deaf.interrupt()
    deaf.end(0.1)
    assert deaf.status() == -9


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_it_ends_with_a_killed_parent(tmp_path: Path) -> None:
    worker_code = f"from clsnorm.command.status import run_command\nrun_command(lambda: exec({WAITS!r}))"
    code = (
        "import sys, time; from pathlib import Path; from clsnorm.sweep import worker_process as w;"
        f"w.own_command = lambda: [sys.executable, '-c', {worker_code!r}];"
        "print(w.WorkerProcess(Path(), {}, Path(sys.argv[1])).number, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "1.log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    wait_for_text(tmp_path / "1.log")
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 60
    while is_alive(worker) and Path(f"/proc/{worker}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, os.kill(worker, 9)
        time.sleep(0.02)
