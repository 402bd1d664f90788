"""Where the trials of a search are stored: Optuna's journal file or SQLite, in the folder of the sweep.

Optuna's own way to share a storage between workers is not enough: two that count the trials at the same time exceed
the budget, a killed one leaves a trial that runs forever, and its lock may stay for half a minute. Here one worker at a
time uses the storage, under a lease as run folders have. A trial is written at once, with its values and its runs, and
belongs to no worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, DiskError, InputError
from clsnorm.files import writing
from clsnorm.run_folder.lease import PARENT, InUseError, leased
from clsnorm.sweep.search_space import SearchSpace, Value

KINDS = {"journal": "trials.log", "sqlite": "trials.db"}
SAMPLERS = ("tpe", "random")
RUNNING, COMPLETE, PRUNED, FAILED = "running", "complete", "pruned", "failed"
LOST = "Remove it: the same command suggests values again, and takes the results of finished runs"
RETRY = 0.05  # seconds between two tries to take the lease


@dataclass(frozen=True)
class Trial:
    """A trial of a study.

    Attributes:
        number: By Optuna, from 0.
        slot: Its place in the budget. One that repeats a failed trial has the place of that one.
        values: Of the searched keys.
        state: ``running`` until all its runs have ended, then ``complete``, ``pruned`` or ``failed``.
        score: Of one that is complete.
        runs: What is needed to run its jobs, as `TrialSearch` has written it.
    """

    number: int
    slot: int
    values: dict[str, Value]
    state: str
    score: float | None
    runs: list[dict[str, Any]]


def require_optuna() -> None:
    """Raises InputError unless Optuna is installed."""
    if importlib.util.find_spec("optuna") is None:
        raise InputError(
            "hydra/sweeper=optuna needs the package optuna, which is not installed: pip install 'clsnorm[optuna]'"
        )


class TrialStorage:
    """All studies of a sweep.

    Args:
        folder: Where its file is.
        kind: One of `KINDS`.
        sampler: One of `SAMPLERS`.
        seed: Of the sampler.
    """

    def __init__(self, folder: Path, *, kind: str, sampler: str, seed: int) -> None:
        self._folder, self._file = folder, folder / KINDS[kind]
        self._kind, self._sampler, self._seed = kind, sampler, seed
        self._studies: dict[str, Any] = {}
        self._storage: Any = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other worker uses the storage; in the ``with`` block this one does."""
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(leased(self._folder, PARENT))
                    break
                except InUseError:
                    time.sleep(RETRY)
            if self._kind == "journal":
                _drop_torn_line(self._file)
            yield

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Turns what Optuna raises for an unreadable file into a `DamagedFileError`."""
        try:
            yield
        except (DiskError, ImportError):
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise DamagedFileError.of(self._file, text, LOST) from error

    def open(self, name: str, *, mode: str) -> None:
        """Opens a study, or creates it.

        Args:
            name: Of the study.
            mode: ``max`` or ``min``.

        Raises:
            DamagedFileError: If the storage is not what Optuna wrote.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._naming():
            self._storage = self._storage or self._opened()
            self._studies[name] = optuna.create_study(
                storage=self._storage, study_name=name, direction=f"{mode}imize", load_if_exists=True
            )

    def _opened(self) -> Any:
        import optuna

        if self._kind == "sqlite":
            return optuna.storages.RDBStorage(f"sqlite:///{self._file.absolute()}")
        journal = optuna.storages.journal
        return optuna.storages.JournalStorage(journal.JournalFileBackend(str(self._file), lock_obj=_NoLock()))

    def trials(self, name: str) -> list[Trial]:
        """Returns the trials of a study, by number.

        Raises:
            DamagedFileError: If the storage is not what Optuna wrote.
        """
        with self._naming():
            return [_trial(found) for found in self._studies[name].get_trials(deepcopy=False)]

    def suggest(self, name: str, space: SearchSpace, slot: int) -> dict[str, Value]:
        """Returns values by the sampler, from the trials so far.

        The sampler's random numbers depend on the study's name and on ``slot`` alone, not on who asks.
        """
        import optuna

        digest = hashlib.sha256(repr((self._seed, name, slot)).encode()).digest()
        seed = int.from_bytes(digest[:4])
        study = self._studies[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler: Any = (
                optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)
                if self._sampler == "tpe"
                else optuna.samplers.RandomSampler(seed=seed)
            )
        blank = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        return {
            key: space.intervals[key].rounded(sampler.sample_independent(study, blank, key, distribution))
            for key, distribution in _distributions(space).items()
        }

    def add(self, name: str, space: SearchSpace, slot: int, values: Mapping[str, Value], runs: list[Any]) -> None:
        """Adds a running trial, in one write."""
        import optuna

        self._studies[name].add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=dict(values),
                distributions=_distributions(space),
                user_attrs={"slot": slot, "runs": runs},
            )
        )

    def tell(self, name: str, number: int, state: str, score: float | None) -> None:
        """Ends a trial: ``complete`` with its score, ``pruned`` or ``failed``."""
        import optuna

        ended = {COMPLETE: optuna.trial.TrialState.COMPLETE, PRUNED: optuna.trial.TrialState.PRUNED}
        self._studies[name].tell(number, score, state=ended.get(state, optuna.trial.TrialState.FAIL))


class _NoLock:
    """Replaces the journal's lock, which a killed worker would leave. `TrialStorage.alone` excludes others."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _drop_torn_line(file: Path) -> None:
    """Removes the end of a journal that a killed worker was writing; more text after it would make it unreadable."""
    if not file.exists():
        return
    text = file.read_bytes()
    if text and not text.endswith(b"\n"):
        with writing(file), file.open("r+b") as stream:
            stream.truncate(text.rfind(b"\n") + 1)


def _distributions(space: SearchSpace) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        key: IntDistribution(int(one.low), int(one.high), log=one.log)
        if one.whole
        else FloatDistribution(one.low, one.high, log=one.log)
        for key, one in space.intervals.items()
    }


def _trial(found: Any) -> Trial:
    states = {"COMPLETE": COMPLETE, "PRUNED": PRUNED, "FAIL": FAILED}
    state = states.get(found.state.name, RUNNING)
    score = found.value if state == COMPLETE else None
    return Trial(found.number, found.user_attrs["slot"], found.params, state, score, found.user_attrs["runs"])
