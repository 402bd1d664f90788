"""What is said to a SLURM cluster: ``sbatch``, ``squeue``, ``scontrol``. Its accounting (``sacct``) is never needed."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from clsnorm.errors import InputError

ANSWER = 100.0  # seconds; the commands themselves try for about 60
QUICK_ANSWER = 15.0  # for commands that only show something
UNCERTAIN = ("timed out", "Unable to contact", "Zero Bytes", "Connection reset")  # in a message: perhaps done


class NoAnswerError(InputError):
    """The cluster did not answer: what was asked of it may have been done."""


@dataclass(frozen=True)
class Queued:
    """One job of SLURM: a worker.

    Attributes:
        job: Its number, such as ``12_3``.
        name: The one under which it was submitted.
        state: Such as ``RUNNING`` or ``PENDING``.
    """

    job: str
    name: str
    state: str


def submit(script: Path, options: Sequence[str]) -> str:
    """Submits a batch script and returns the number of the job.

    Raises:
        NoAnswerError: If the cluster does not answer.
        InputError: If it refuses.
    """
    number = _run(["sbatch", "--parsable", *options, str(script)], ANSWER).strip().partition(";")[0]
    if not number.isdecimal():
        raise NoAnswerError(f"Expected sbatch to print the number of the job, but got {number!r}")
    return number


def queued(names: Collection[str], *, answer: float = ANSWER) -> list[Queued]:
    """Returns all jobs with these names that are waiting or running.

    Raises:
        InputError: If the cluster does not answer.
    """
    if not names:
        return []
    words = ["squeue", "--noheader", "--array", "--format=%i|%j|%T", f"--name={','.join(sorted(names))}"]
    rows = [line.strip().split("|") for line in _run(words, answer).splitlines() if line.strip()]
    return [Queued(*row) for row in rows if len(row) == 3]


def requeue(job: str) -> None:
    """Ends a running job and puts it back into the queue; with it, this process, if it belongs to that job.

    Raises:
        InputError: If the cluster refuses or does not answer.
    """
    _run(["scontrol", "requeue", job], ANSWER)


def counted(jobs: Collection[Queued]) -> str:
    """Returns how many jobs are in which state.

    Example:
        >>> counted([Queued("1_0", "a", "RUNNING"), Queued("1_1", "a", "PENDING"), Queued("1_2", "a", "PENDING")])
        '2 pending, 1 running'
    """
    states = Counter(job.state.lower() for job in jobs)
    return ", ".join(f"{number} {state}" for state, number in states.most_common())


def _run(words: Sequence[str], answer: float) -> str:
    name = words[0]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=answer, check=False)
    except FileNotFoundError:
        raise InputError(
            f"Expected SLURM's command {name} on this machine, but there is none. Log in to a machine of the cluster, "
            "or choose hydra/launcher=joblib"
        ) from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(_silent(name, f"no answer in {answer:.0f} s")) from None
    if done.returncode == 0:
        return done.stdout
    message = "; ".join(dict.fromkeys(re.sub(rf"^{name}: (error: )?", "", line) for line in done.stderr.splitlines()))
    if any(word in message for word in UNCERTAIN):
        raise NoAnswerError(_silent(name, message))
    raise InputError(f"Expected SLURM to accept {name}, but it refused: {message or f'status {done.returncode}'}")


def _silent(name: str, why: str) -> str:
    return (
        f"Expected SLURM to answer {name}, but it does not: {why}. Repeat the command later: it finds out what was "
        "submitted, and no job can run twice"
    )
