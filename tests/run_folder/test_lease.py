"""One process at a time holds a lease, whoever is killed, stopped or late, and whatever their clocks say."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clsnorm.errors import DiskError, InputError, LostLeaseError
from clsnorm.files import write_text
from clsnorm.run_folder import lease as lease_module
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.lease import (
    PARENT,
    SILENCE_VARIABLE,
    InUseError,
    Lease,
    beat,
    leased,
    read_holder,
    require_free,
    stated_silence,
)
from clsnorm.run_folder.watch import Watch

SHORT = 0.6  # seconds of silence


@pytest.fixture(autouse=True)
def new_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_watch", Watch())
    monkeypatch.setenv(SILENCE_VARIABLE, str(SHORT))


def left_by(folder: Path, holder: Holder, beats: int = 3) -> Path:
    """The file of a lease that another process has taken."""
    file = folder / PARENT / holder.token
    file.parent.mkdir(parents=True)
    file.write_text(holder.line() + f"{beats:016}\n")
    return file


def foreign(**changes: object) -> Holder:
    return replace(Holder.here(silence=SHORT), machine="elsewhere", host="node7", **changes)


def test_a_lease_is_held_and_leaves_nothing(tmp_path: Path) -> None:
    with leased(tmp_path, PARENT):
        held_by = read_holder(tmp_path)
        assert held_by is not None
        assert held_by.process == os.getpid()
        with pytest.raises(InUseError, match=f"process {os.getpid()} is running in it"), leased(tmp_path, PARENT):
            pytest.fail("two have it")
        with pytest.raises(InUseError):
            require_free(tmp_path, PARENT)
    assert read_holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


CONTENDER = """
import sys
from pathlib import Path
from clsnorm.run_folder.lease import PARENT, InUseError, leased
for line in sys.stdin:
    try:
        with leased(Path(line.strip()), PARENT):
            print("won", flush=True)
            sys.stdin.readline()
    except InUseError:
        print("lost", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def contenders() -> Iterator[list[subprocess.Popen[str]]]:
    words = [sys.executable, "-c", CONTENDER]
    both = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    yield both
    for process in both:
        process.kill()
        process.communicate()


def test_of_two_processes_that_race_for_it_200_times_one_wins(
    contenders: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """In half of the races, the lease of a dead process has to be ended first."""
    dead = replace(Holder.here(silence=60), start="1")
    wins = []
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        if number % 2:
            left_by(folder, replace(dead, token=f"dead{number}"))
        for process in contenders:
            print(folder, file=process.stdin, flush=True)
        ends = [process.stdout.readline().strip() for process in contenders if process.stdout]
        assert sorted(ends) == ["lost", "won"]
        wins.append(ends.index("won"))
        for process in contenders:
            print("next", file=process.stdin, flush=True)
    assert len(wins) == 200


def test_the_lease_of_a_killed_process_is_free_at_once(contenders: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    first, second = contenders
    for process, expected in ((first, "won"), (second, "lost")):
        print(tmp_path, file=process.stdin, flush=True)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == expected
    first.kill()
    first.wait()
    with leased(tmp_path, PARENT):
        pass


@pytest.mark.parametrize("minutes", [-7, 0, 7])
def test_a_silent_process_of_another_machine_loses_it_whatever_the_clocks_say(tmp_path: Path, minutes: int) -> None:
    file = left_by(tmp_path, foreign(since=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 60 * minutes))))
    os.utime(file, (time.time() + 60 * minutes,) * 2)
    with pytest.raises(InUseError, match=r"process \d+ of node7"), leased(tmp_path, PARENT):
        pytest.fail("taken without a look at its heartbeat")
    began = time.monotonic()
    with leased(tmp_path, PARENT, patient=True):
        assert time.monotonic() - began >= SHORT * 0.9
        assert not file.exists()


@pytest.mark.parametrize("minutes", [-7, 0, 7])
def test_a_living_process_of_another_machine_keeps_it_whatever_the_clocks_say(tmp_path: Path, minutes: int) -> None:
    file, ended = left_by(tmp_path, foreign()), threading.Event()

    def live() -> None:
        for number in range(10_000):
            beat(file, number)
            os.utime(file, (time.time() + 60 * minutes,) * 2)
            if ended.wait(SHORT / 12):
                return

    alive = threading.Thread(target=live)
    alive.start()
    try:
        for _ in range(3):
            with pytest.raises(InUseError, match="of node7"), leased(tmp_path, PARENT, patient=True):
                pytest.fail("two have it")
            time.sleep(SHORT / 2)
    finally:
        ended.set()
        alive.join()
    assert file.exists()


def test_a_silence_seen_by_earlier_looks_counts(tmp_path: Path) -> None:
    left_by(tmp_path, foreign())
    for _ in range(11):
        if read_holder(tmp_path) is None:
            break
        time.sleep(SHORT / 8)
    with leased(tmp_path, PARENT):
        pass


@pytest.mark.parametrize("content", ["", "{}", "by hand"])
def test_a_file_that_names_nobody_is_silent_like_any_other(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "SILENCE", SHORT)
    (tmp_path / PARENT).mkdir()
    (tmp_path / PARENT / "x").write_text(content)
    found = read_holder(tmp_path)
    assert found is not None
    assert found.host == "an unknown machine"
    with leased(tmp_path, PARENT, patient=True):
        pass


def test_a_file_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / PARENT).write_text("by hand")
    with pytest.raises(DiskError, match="Cannot write"), leased(tmp_path, PARENT):
        pytest.fail("taken")
    assert [path.name for path in tmp_path.iterdir()] == [PARENT]


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="Cannot write"), leased(tmp_path / "none", PARENT):
        pytest.fail("taken")


WRITER = """
import sys
from pathlib import Path
from clsnorm.files import append, write_text
from clsnorm.run_folder import holder
from clsnorm.errors import LostLeaseError
from clsnorm.run_folder.lease import PARENT, leased
holder.machine = lambda: "elsewhere"
folder, number = Path(sys.argv[1]), 0
(folder / "rows").touch()
try:
    with leased(folder, PARENT):
        print("held", flush=True)
        while True:
            number += 1
            append(folder / "rows", f"{number}\\n")
            write_text(folder / "state", str(number))
except LostLeaseError as error:
    print(error)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_stopped_worker_whose_lease_was_taken_writes_nothing_when_it_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SILENCE_VARIABLE, "3")  # a busy machine may not run it for a second
    words = [sys.executable, "-c", WRITER, str(tmp_path)]
    worker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "held\n"
    with pytest.raises(InUseError), leased(tmp_path, PARENT, patient=True):
        pytest.fail("taken from a living one")
    worker.send_signal(signal.SIGSTOP)
    with leased(tmp_path, PARENT, patient=True):
        write_text(tmp_path / "state", "of the successor")
        before = contents(tmp_path)
        worker.send_signal(signal.SIGCONT)
        printed, _ = worker.communicate(timeout=60)
        after = contents(tmp_path)
    assert "Lost" in printed
    assert "another one took over" in printed
    left = {name: value for name, value in after.items() if not name.startswith(".draft")}
    assert left == {name: value for name, value in before.items() if not name.startswith(".draft")}


def test_whoever_lost_it_does_not_end_the_lease_of_the_successor(tmp_path: Path) -> None:
    first, second = Lease(tmp_path, PARENT), Lease(tmp_path, PARENT)
    first.take(patient=False)
    next((tmp_path / PARENT).iterdir()).unlink()  # as another machine would
    second.take(patient=False)
    with pytest.raises(LostLeaseError):
        first.require()
    first.release()
    second.require()
    second.release()


def test_writing_elsewhere_is_not_stopped(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    with leased(tmp_path / "mine", PARENT):
        next((tmp_path / "mine" / PARENT).iterdir()).unlink()
        write_text(tmp_path / "other" / "a", "")
        with pytest.raises(LostLeaseError):
            write_text(tmp_path / "mine" / "a", "")
    assert not (tmp_path / "mine" / "a").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(DiskError, match="Cannot write"), leased(tmp_path, PARENT):
            pytest.fail("taken")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".draft-dead").mkdir()
    (tmp_path / ".draft-dead" / "dead").touch()
    with leased(tmp_path, PARENT):
        assert [path.name for path in tmp_path.iterdir()] == [PARENT]


def test_a_fork_neither_keeps_nor_ends_it(tmp_path: Path) -> None:
    mine = Lease(tmp_path, PARENT)
    mine.take(patient=False)
    child = os.fork()
    if child == 0:
        mine.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    mine.require()
    mine.release()


def test_heartbeats_change_the_file_and_never_create_it(tmp_path: Path) -> None:
    with leased(tmp_path, PARENT):
        file = next((tmp_path / PARENT).iterdir())
        before = file.read_bytes()
        time.sleep(SHORT / 2)
        after = file.read_bytes()
        assert before != after
        assert len(before) == len(after)
        file.unlink()
        with pytest.raises(FileNotFoundError):
            beat(file, 4)
        time.sleep(SHORT / 4)
        assert not file.exists()


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
def test_another_silence_must_be_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SILENCE_VARIABLE, text)
    with pytest.raises(InputError, match=SILENCE_VARIABLE):
        stated_silence()
