"""Which runs a search needs next: trials of each combination at equal budget, then runs at the chosen values.

The storage lists what was suggested; whether a run is done, running or failed is read from its folder, by any worker.
So a trial needs no owner: a free worker runs whatever no other one is running, also of the trials of a killed one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clsnorm.run_folder.folder import RunFolder
from clsnorm.sweep.job_state import DONE, FAILED, Mark, look, mark
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.search_record import write_search
from clsnorm.sweep.search_space import SearchSpace, Value, words_of
from clsnorm.sweep.trial_storage import COMPLETE, PRUNED, RUNNING, Trial, TrialStorage
from clsnorm.sweep.trial_storage import FAILED as FAILED_TRIAL

Plan = Callable[[Sequence[Sequence[str]]], list[PlannedJob]]


@dataclass(frozen=True)
class Budget:
    """How much a search may try.

    Attributes:
        trials: For each combination.
        early: The first so many of them are the same for all combinations; later ones are suggested by the sampler.
        final: Overrides of the runs at the chosen values, each a list.
    """

    trials: int
    early: int
    final: Sequence[Sequence[str]] = ()


@dataclass
class _SearchedArm:
    """A combination that is searched by itself.

    Attributes:
        words: Its overrides.
        label: What tells it from the others.
        study: Name of its study. It depends on what can change its results, on the space and on the seeds.
        mode: ``max`` or ``min``: which scores are better.
    """

    words: tuple[str, ...]
    label: str
    study: str
    mode: str


class TrialSearch:
    """The trials of all combinations of a sweep.

    Args:
        folder: Of the sweep.
        space: What is searched.
        budget: How much.
        storage: Where trials are stored.
        plan: Returns the jobs of overrides, by `Composer.plan`.
        mode: Returns ``max`` or ``min`` for overrides.

    Raises:
        InputError: If a combination cannot be composed.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        budget: Budget,
        storage: TrialStorage,
        plan: Plan,
        mode: Callable[[Sequence[str]], str],
    ) -> None:
        self._folder, self._space, self._budget, self._storage, self._plan = folder, space, budget, storage, plan
        self._known: set[str] = set()
        self._finals: dict[str, list[PlannedJob]] = {}  # by the overrides that they share
        self.arms = [self._arm(words, mode) for words in space.combinations]

    def _arm(self, words: tuple[str, ...], mode: Callable[[Sequence[str]], str]) -> _SearchedArm:
        first = [*words, *words_of(self._space.early(0)), *self._space.repeats[0]]
        (job,) = self._plan([first])
        identity = [job.name, sorted(map(repr, self._space.intervals.items())), sorted(self._space.repeats)]
        label = self._space.label(words)
        study = f"{label} {hashlib.sha256(repr(identity).encode()).hexdigest()[:8]}"
        return _SearchedArm(words, label, study, mode(first))

    def begin(self) -> None:
        """Opens the studies, and adds trials that repeat those that failed before."""
        with self._storage.alone():
            for arm in self.arms:
                self._storage.open(arm.study, mode=arm.mode)
                for trial in _latest(self._storage.trials(arm.study)):
                    if trial.state == FAILED_TRIAL:
                        self._add(arm, trial.slot, trial.values)

    def more(self, failed: Collection[str]) -> dict[PlannedJob, Mark]:
        """Returns jobs for a free worker that it has not been given yet; none if it has them all.

        Args:
            failed: Names of the jobs that failed in this worker.

        Returns:
            Each job with the mark of its earlier failure, which does not count for this trial.
        """
        with self._storage.alone():
            while True:
                trials = {arm.study: self._settled(arm, failed) for arm in self.arms}
                self._record(trials)
                arm = min(self.arms, key=lambda one: len(trials[one.study]))
                slot = len(trials[arm.study])
                if fresh := self._unknown(trials):
                    return fresh
                if slot >= self._budget.trials:
                    return self._take([job for one in self.arms for job in self._final(one, trials[one.study])])
                early = slot < self._budget.early
                values = self._space.early(slot) if early else self._storage.suggest(arm.study, self._space, slot)
                if fresh := self._take(self._add(arm, slot, values)):
                    return fresh  # otherwise it repeats an earlier trial

    def _settled(self, arm: _SearchedArm, failed: Collection[str]) -> list[Trial]:
        """Ends the trials whose runs have all ended; returns the latest trial of each slot."""
        for trial in self._storage.trials(arm.study):
            if trial.state == RUNNING and (end := self._end(arm, trial, failed)):
                self._storage.tell(arm.study, trial.number, *end)
        return _latest(self._storage.trials(arm.study))

    def _end(self, arm: _SearchedArm, trial: Trial, failed: Collection[str]) -> tuple[str, float | None] | None:
        """Returns state and score of a trial; None as long as one of its runs has not ended."""
        scores, states = [], set()
        for run in trial.runs:
            found = look(self._folder / run["job"]["name"])
            before = tuple(run["failed_before"]) if run["failed_before"] else None
            if found.state == DONE:
                scores.append(_score(found.results, arm.mode))
                states.add(PRUNED if found.results.get("status") == "aborted" else COMPLETE)
            elif run["job"]["name"] in failed or (found.state == FAILED and _error(found.folder) != before):
                states.add(FAILED_TRIAL)
            else:
                return None
        state = next(one for one in (FAILED_TRIAL, PRUNED, COMPLETE) if one in states)
        return state, sum(scores) / len(scores) if state == COMPLETE else None

    def _unknown(self, trials: dict[str, list[Trial]]) -> dict[PlannedJob, Mark]:
        found: dict[PlannedJob, Mark] = {}
        for trial in (one for members in trials.values() for one in members if one.state == RUNNING):
            for run in trial.runs:
                job = PlannedJob(**{**run["job"], "words": tuple(run["job"]["words"])})
                if job.name not in self._known:
                    found[job] = tuple(run["failed_before"]) if run["failed_before"] else None
        self._known |= {job.name for job in found}
        return found

    def _add(self, arm: _SearchedArm, slot: int, values: dict[str, Value]) -> list[PlannedJob]:
        jobs = self._plan([[*arm.words, *words_of(values), *words] for words in self._space.repeats])
        runs = [{"job": asdict(job), "failed_before": _error(self._folder / job.name)} for job in jobs]
        self._storage.add(arm.study, self._space, slot, values, runs)
        return jobs

    def _final(self, arm: _SearchedArm, trials: Sequence[Trial]) -> list[PlannedJob]:
        chosen = self._chosen(arm, trials)
        if chosen is None or not self._budget.final:
            return []
        shared = [*arm.words, *words_of(chosen.values)]
        key = " ".join(shared)
        if key not in self._finals:
            self._finals[key] = self._plan([[*shared, *words] for words in self._budget.final])
        return self._finals[key]

    def _take(self, jobs: Sequence[PlannedJob]) -> dict[PlannedJob, Mark]:
        fresh = {job: _error(self._folder / job.name) for job in jobs if job.name not in self._known}
        self._known |= {job.name for job in fresh}
        return fresh

    def _chosen(self, arm: _SearchedArm, trials: Sequence[Trial]) -> Trial | None:
        """Returns the best trial, of equals the one with the smallest values; None as long as one has not ended."""
        if len(trials) < self._budget.trials or any(trial.state == RUNNING for trial in trials):
            return None
        sign = -1.0 if arm.mode == "max" else 1.0
        scored = [
            (sign * trial.score, tuple(trial.values.values()), trial) for trial in trials if trial.score is not None
        ]
        return min(scored, key=lambda one: one[:2])[2] if scored else None

    def _record(self, trials: dict[str, list[Trial]]) -> None:
        for arm in self.arms:
            chosen = self._chosen(arm, trials[arm.study])
            record = {
                "words": list(arm.words),
                "label": arm.label,
                "space": {key: str(interval) for key, interval in self._space.intervals.items()},
                "seeds": [" ".join(words) for words in self._space.repeats],
                "budget": self._budget.trials,
                "mode": arm.mode,
                "trials": [
                    {
                        "values": trial.values,
                        "state": trial.state,
                        "score": trial.score if trial.score is None or math.isfinite(trial.score) else None,
                        "runs": [run["job"]["name"] for run in trial.runs],
                    }
                    for trial in trials[arm.study]
                ],
                "chosen": chosen.values if chosen else None,
                "final": [job.name for job in self._final(arm, trials[arm.study])],
            }
            write_search(self._folder, arm.study, record)


def _latest(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the latest trial of each place in the budget, by place."""
    found = {trial.slot: trial for trial in trials}
    return [found[slot] for slot in sorted(found)]


def _score(results: dict[str, Any], mode: str) -> float:
    value = results["metrics"].get(f"select/{results['monitor']}")
    return float(value) if value is not None else -math.inf if mode == "max" else math.inf


def _error(folder: Path) -> Mark:
    return mark(RunFolder(folder).error)
