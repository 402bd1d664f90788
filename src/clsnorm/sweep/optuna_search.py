"""A sweep that searches: Optuna suggests values of intervals, for each combination of the others at equal budget."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from clsnorm.command.sweep import HYDRA_RECORD, SEARCHES
from clsnorm.errors import InputError, refuse, require_choice, require_whole
from clsnorm.sweep.composer import Composer
from clsnorm.sweep.fleet import Fleet
from clsnorm.sweep.launchers import LocalWorkers
from clsnorm.sweep.planned_job import PlannedJob, write_plan
from clsnorm.sweep.search import Budget, TrialSearch
from clsnorm.sweep.search_record import read_searches
from clsnorm.sweep.search_space import SearchSpace, words_listed
from clsnorm.sweep.trial_storage import KINDS, SAMPLERS, TrialStorage, require_optuna


class OptunaSearch(Sweeper):
    """Chooses values, such as a learning rate, by the score on the select split, for each combination of other values.

    A value ``interval(low, high)`` is searched, ``tag(log,interval(low, high))`` on a logarithmic scale. Each
    combination of listed values has as many trials. Listed seeds repeat a trial, whose score is the mean over them. The
    same command, typed again or in several terminals, continues the same trials.

    Args:
        trials: Of each combination.
        early: How many of them are the same for all combinations, spread over the intervals; the rest are suggested.
        sampler: ``tpe``, or ``random``, which looks at no results.
        seed: Of the sampler.
        storage: ``journal``, a file that also works on network file systems, or ``sqlite``.
        params: Values by key, as in `Grid`.
        final: Values by key of the runs at the chosen values, such as other seeds; null or empty: no such runs.

    Raises:
        InputError: If an argument breaks its rule.
    """

    def __init__(
        self, *, trials: int, early: int, sampler: str, seed: int, storage: str, params: Any, final: Any
    ) -> None:
        place = "hydra.sweeper"
        require_whole(f"{place}.trials", trials, least=1)
        require_whole(f"{place}.early", early, least=0)
        require_whole(f"{place}.seed", seed, least=0)
        require_choice(f"{place}.sampler", sampler, SAMPLERS)
        require_choice(f"{place}.storage", storage, tuple(KINDS))
        self._trials, self._early, self._sampler, self._seed = trials, early, sampler, seed
        self._storage, self._params, self._final = storage, dict(params or {}), dict(final or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives; called once.

        Raises:
            InputError: If Optuna is not installed, or the launcher cannot share a search.
        """
        require_optuna()
        self._context, self._config = hydra_context, config
        self._launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if isinstance(self._launcher, Fleet) or not isinstance(self._launcher, LocalWorkers):
            advice = "Type the command in as many terminals, or start it in as many tasks of the cluster"
            refuse("hydra/launcher", "local with hydra/sweeper=optuna", config.hydra.launcher._target_, advice)
        if config.get("force") is True:
            refuse("force", "left out with hydra/sweeper=optuna", True, "It would run trials twice")

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Runs the search and returns how each job ended that ran here.

        Raises:
            InputError: If a combination cannot be composed, or nothing is searched; then nothing has started.
        """
        setup_globals()
        space, final = self.parsed(arguments, self._context.config_loader)
        folder = Path(self._config.hydra.sweep.dir)
        composer = Composer(self._context.config_loader, self._config)

        def plan(jobs: Sequence[Sequence[str]]) -> list[PlannedJob]:
            found = composer.plan(jobs)
            write_plan(folder, found)
            return found

        storage = TrialStorage(folder / SEARCHES, kind=self._storage, sampler=self._sampler, seed=self._seed)
        budget = Budget(self._trials, self._early, final)
        search = TrialSearch(
            folder, space, budget, storage, plan, lambda words: str(composer.compose(words, 0).data.mode)
        )
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / HYDRA_RECORD)
        returns = self._launcher.search(search, composer)
        print("\n".join(_lines(folder, [arm.label for arm in search.arms])), flush=True)
        for done in returns:
            _ = done.return_value  # raises what ended the job
        return returns

    def parsed(self, arguments: Sequence[str], loader: ConfigLoader) -> tuple[SearchSpace, list[tuple[str, ...]]]:
        """Returns what is searched, and the overrides of each final run."""
        parser = OverridesParser.create(config_loader=loader)
        given = [f"{key}={value}" for key, value in self._params.items()]
        space = SearchSpace(parser.parse_overrides([*given, *arguments]))
        last = parser.parse_overrides([f"{key}={value}" for key, value in self._final.items()])
        if wrong := [one.key_or_group for one in last if one.get_key_element() in space.intervals]:
            raise InputError(f"Expected hydra.sweeper.final to leave {', '.join(wrong)} as chosen, but it sets it")
        return space, list(itertools.product(*map(words_listed, last))) if last else []


def _lines(folder: Path, labels: Sequence[str]) -> list[str]:
    """Says what was chosen for each combination."""
    found = []
    for record in read_searches(folder):
        if record["label"] not in labels:
            continue
        states = [trial["state"] for trial in record["trials"]]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        if record["chosen"] is None:
            chosen = "nothing chosen" if "running" not in states else "not yet chosen"
        else:
            chosen = ", ".join(f"{key}={value:g}" for key, value in record["chosen"].items())
        found.append(f"{record['label']}: {chosen} (trials: {counts})")
    return found
