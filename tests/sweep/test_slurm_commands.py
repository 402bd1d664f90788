"""What SLURM's commands print becomes numbers, states, or one line. The commands are stand-ins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clsnorm.errors import InputError
from clsnorm.sweep import slurm_commands
from clsnorm.sweep.slurm_commands import NoAnswerError, Queued, queued, requeue, submit

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script in the place of a command; what it is called with is in the returned file."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(name: str, code: str) -> Path:
        calls = tmp_path / f"{name}.calls"
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {calls}\n{code}\n')
        (tmp_path / name).chmod(0o755)
        return calls

    return install


def test_submitting_returns_the_number(install: Install, tmp_path: Path) -> None:
    calls = install("sbatch", "echo '17;cluster'")
    assert submit(tmp_path / "worker.sh", ["--time=3"]) == "17"
    assert calls.read_text().split() == ["--parsable", "--time=3", str(tmp_path / "worker.sh")]
    install("sbatch", "echo done")
    with pytest.raises(NoAnswerError, match="'done'"):
        submit(tmp_path / "worker.sh", [])


def test_the_queue_is_asked_for_names(install: Install) -> None:
    calls = install("squeue", "echo '17_0|a|RUNNING'; echo '17_1|b|PENDING'; echo; echo odd")
    assert queued(["b", "a"]) == [Queued("17_0", "a", "RUNNING"), Queued("17_1", "b", "PENDING")]
    assert "--name=a,b" in calls.read_text().split()
    calls.unlink()
    assert queued([]) == []
    assert not calls.exists(), "nothing is asked for no name"


def test_requeueing_names_the_job(install: Install) -> None:
    calls = install("scontrol", "")
    requeue("18")
    assert calls.read_text().split() == ["requeue", "18"]


@pytest.mark.parametrize(
    ("code", "certain", "message"),
    [
        (
            "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1",
            True,
            "refused: invalid partition specified",
        ),
        ("exit 3", True, "refused: status 3"),
        (
            "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
            False,
            "Unable to con",
        ),
        ("echo 'sbatch: error: Batch job submission failed: Socket timed out' >&2; exit 1", False, "Socket timed out"),
        ("sleep 60", False, "no answer in 0 s"),
    ],
)
def test_a_refusal_is_told_from_silence(
    install: Install, monkeypatch: pytest.MonkeyPatch, code: str, certain: bool, message: str
) -> None:
    install("sbatch", code)
    monkeypatch.setattr(slurm_commands, "ANSWER", 0.3 if "sleep" in code else 60.0)
    with pytest.raises(InputError, match=message) as caught:
        submit(Path("worker.sh"), [])
    assert isinstance(caught.value, NoAnswerError) != certain


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not os.listdir(tmp_path)  # noqa: PTH208
    with pytest.raises(InputError, match="SLURM's command squeue on this machine"):
        queued(["a"])
