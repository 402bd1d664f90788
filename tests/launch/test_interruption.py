"""An announced interruption: seen by this process and those that it starts, until it is forgotten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clsnorm.launch import interruption


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    yield
    interruption.forget()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_nothing_is_announced_before_a_signal() -> None:
    assert not interruption.is_expected()
    assert interruption.announced() is None
    interruption.expect()
    assert interruption.is_expected()
    assert interruption.announced() is None


def test_a_signal_reaches_child_processes_and_is_forgotten_with_its_file() -> None:
    interruption.expect()
    path = os.environ[interruption.FILE]
    os.kill(os.getpid(), signal.SIGUSR1)
    assert interruption.announced() == signal.SIGUSR1
    code = "from clsnorm.launch import interruption; print(interruption.announced())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == signal.SIGUSR1
    interruption.forget()
    assert interruption.announced() is None
    assert not os.path.exists(path)  # noqa: PTH110
    os.kill(os.getpid(), signal.SIGUSR1)  # no longer ends the process
    assert interruption.announced() is None


def test_a_child_process_may_be_the_one_that_is_signalled() -> None:
    interruption.expect()
    code = (
        "import os, signal; from clsnorm.launch import interruption; interruption.expect();"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert interruption.announced() == signal.SIGTERM


def test_signals_can_be_taken_back_from_others() -> None:
    interruption.expect()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    interruption.take_signals_back()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert interruption.announced() == signal.SIGUSR1
