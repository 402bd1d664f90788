"""From the overrides of a sweep's jobs to the jobs, with the names of their folders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from clsnorm.errors import InputError
from clsnorm.sweep.expectation import settings_of
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.template import NotPlainError, Template, resolved_groups

NAMED_BY_RUN = "${job_name:}"  # hydra.sweep.subdir of runs; other commands name their folders in other ways


class Composer:
    """Composes the jobs of a sweep.

    Args:
        loader: Hydra's.
        master: The sweep's configuration, with its ``hydra`` node.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        subdir: Any = OmegaConf.to_container(master.hydra.sweep, resolve=False)
        self._is_quick = subdir["subdir"] == NAMED_BY_RUN
        self._templates: dict[tuple[str, ...], Template | None] = {}

    def compose(self, words: Sequence[str], number: int) -> DictConfig:
        """Returns the configuration of a job, as Hydra composes it."""
        config = self._loader.load_sweep_config(self._master, list(words))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def plan(self, jobs: Sequence[Sequence[str]], first: int = 0) -> list[PlannedJob]:
        """Returns each different job once, in the given order.

        Args:
            jobs: The overrides of each.
            first: Number of the first one.

        Raises:
            InputError: If a job cannot be composed.
        """
        varied = self._varied(jobs)
        planned: dict[str, PlannedJob] = {}
        for number, words in enumerate(jobs, start=first):
            job = self._quickly(words, number, varied) or self._slowly(words, number)
            planned.setdefault(job.name, job)
        if varied and self._slowly(words, number).name != job.name:  # a key whose way into a name is not foreseen
            self._is_quick = False
            return self.plan(jobs, first)
        return list(planned.values())

    def _varied(self, jobs: Sequence[Sequence[str]]) -> set[str]:
        """Returns the keys of plain values that differ between jobs."""
        if not self._is_quick or len(jobs) < 3:
            return set()
        same = set(jobs[0]).intersection(*jobs)
        words = {word for job in jobs for word in job if word not in same}
        return {_parsed(word).key_or_group for word in words if self._is_plain(_parsed(word))}

    def _is_plain(self, override: Override) -> bool:
        if override.is_add() or override.is_delete() or override.package is not None or override.is_hydra_override():
            return False
        value = override.value()
        simple = value is None or isinstance(value, bool | int | float | str)
        return simple and "${" not in str(value) and not self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        return "." not in key and bool(self._loader.get_group_options(key))

    def _slowly(self, words: Sequence[str], number: int) -> PlannedJob:
        config = self.compose(words, number)
        name = str(config.hydra.sweep.subdir)
        try:
            settings = settings_of(resolved_groups(config))
        except (OmegaConfBaseException, InputError):  # the job itself will say what is wrong
            settings = {}
        return PlannedJob(name, tuple(words), settings, number)

    def _quickly(self, words: Sequence[str], number: int, varied: set[str]) -> PlannedJob | None:
        """Returns the job, or None if only composing can tell."""
        parsed = [_parsed(word) for word in words] if varied else []
        values = {override.key_or_group: override.value() for override in parsed if override.key_or_group in varied}
        if not values or not all(self._is_plain(override) for override in parsed if override.key_or_group in values):
            return None
        shape = tuple(word for word in words if _parsed(word).key_or_group not in values)
        template = self._template(shape, words, values)
        if template is None:
            return None
        return PlannedJob(template.name(values), tuple(words), settings_of(template.resolved), number)

    def _template(self, shape: tuple[str, ...], words: Sequence[str], values: dict[str, Any]) -> Template | None:
        if shape not in self._templates:
            config = self.compose(words, 0)
            try:
                template = Template(config, values)
                sound = template.name(values) == str(config.hydra.sweep.subdir)
                self._templates[shape] = template if sound else None
            except NotPlainError:
                self._templates[shape] = None
        return self._templates[shape]


@lru_cache(maxsize=1 << 14)
def _parsed(word: str) -> Override:
    return OverridesParser.create().parse_override(word)
