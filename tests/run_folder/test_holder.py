"""A process is known by its machine, its number and its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from clsnorm.run_folder import holder
from clsnorm.run_folder.holder import Holder, started


def test_this_process_is_here_and_not_gone() -> None:
    this = Holder.here(silence=60)
    assert this.process == os.getpid()
    assert this.is_here()
    assert not this.is_gone()
    assert str(this) == f"process {os.getpid()}"


def test_tokens_differ() -> None:
    assert len({Holder.here(silence=60).token for _ in range(50)}) == 50


def test_a_killed_process_is_gone_even_before_its_parent_waits_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    that = replace(Holder.here(silence=60), process=child.pid, start=started(child.pid))
    assert not that.is_gone()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays in the table of processes
    assert that.is_gone()
    child.communicate()
    assert that.is_gone()


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    assert replace(Holder.here(silence=60), start="1").is_gone()


@pytest.mark.parametrize("process", [os.getpid(), 2**22 + 5], ids=["this one", "none"])
def test_nothing_is_known_of_processes_of_another_machine(process: int) -> None:
    that = replace(Holder.here(silence=60), machine="elsewhere", host="node7", process=process)
    assert not that.is_here()
    assert not that.is_gone()
    assert str(that) == f"process {process} of node7"


def test_a_machine_is_another_one_after_a_reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    this = Holder.here(silence=60)
    monkeypatch.setattr(holder, "machine", lambda: "another boot")
    assert not this.is_here()


def test_a_line_is_read_back() -> None:
    this = Holder.here(silence=60)
    assert Holder.read(this.line()) == this


@pytest.mark.parametrize("value", ["", "{", "[]", "3", "{}", '{"host": "a"}', "[" * 100_000])
def test_anything_else_is_no_holder(value: str) -> None:
    assert Holder.read(value) is None


@pytest.mark.parametrize("change", [{"process": "1"}, {"silence": None}, {"silence": True}, {"host": 3}, {"more": 1}])
def test_wrong_types_are_no_holder(change: dict[str, object]) -> None:
    values = json.loads(Holder.here(silence=60).line())
    assert Holder.read(json.dumps(values | change)) is None
