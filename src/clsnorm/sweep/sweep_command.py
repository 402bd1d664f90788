"""``python -m clsnorm.sweep``: a sweep, seen from its run folders alone, and a sweep before it starts.

python -m clsnorm.sweep status multirun/normalizer_x_seed
python -m clsnorm.sweep plan normalizer=identity,layernorm seed=range(20)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from clsnorm.command.composition import checked_composition
from clsnorm.command.standard_streams import printing
from clsnorm.command.status import run_command
from clsnorm.config import CONF
from clsnorm.errors import InputError
from clsnorm.files import delete
from clsnorm.launch.one_machine import WorkerError
from clsnorm.sweep.composer import Composer
from clsnorm.sweep.disk import bytes_in, readable
from clsnorm.sweep.job_state import DONE, FAILED, INTERRUPTED, JobState, look, look_at_all
from clsnorm.sweep.overview import plan_lines, status_lines
from clsnorm.sweep.planned_job import PlannedJob, read_plan
from clsnorm.sweep.search_space import SearchSpace, words_of
from clsnorm.sweep.sweeper import Grid

WEIGHTS = ("selected.ckpt", "last.ckpt")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, 1 if a retried job crashed, 2 if the input was refused, with one line."""
    given = _parser().parse_args(arguments)
    return run_command(lambda: given.run(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clsnorm.sweep", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="status|plan|retry|clean")
    status = commands.add_parser("status", help="which jobs are done, running, interrupted, failed, not started")
    status.add_argument("folder", type=Path, metavar="FOLDER", help="of a sweep, such as multirun/NAME")
    status.add_argument("--all", action="store_true", help="list every job")
    status.set_defaults(run=_status)
    plan = commands.add_parser("plan", help="list the jobs of a sweep before it starts, with expected time and disk")
    plan.add_argument("words", nargs="+", metavar="KEY=VALUE", help="as after python train.py -m, or sweep=NAME")
    plan.set_defaults(run=_plan)
    retry = commands.add_parser("retry", help="run the jobs again that failed, and resume interrupted ones, here")
    retry.add_argument("folder", type=Path, metavar="FOLDER", help="of a sweep")
    retry.set_defaults(run=_retry)
    clean = commands.add_parser("clean", help="list what can be removed; with --yes, remove it")
    clean.add_argument("folder", type=Path, metavar="FOLDER", help="of a sweep")
    clean.add_argument("--failed", action="store_true", help="folders of failed jobs")
    clean.add_argument("--interrupted", action="store_true", help="folders of interrupted jobs, which could be resumed")
    clean.add_argument("--weights", action="store_true", help="weights of jobs that are done")
    clean.add_argument("--yes", action="store_true", help="remove what is listed")
    clean.set_defaults(run=_clean)
    return parser


def _status(given: argparse.Namespace) -> None:
    _print(list(status_lines(given.folder, every=given.all)))


def _plan(given: argparse.Namespace) -> None:
    _print(list(plan_lines(*planned(given.words))))


def _print(lines: list[str]) -> None:
    with printing():
        print("\n".join(lines))


def planned(words: list[str]) -> tuple[Path, list[PlannedJob]]:
    """Returns the folder and the jobs of the sweep that ``python train.py -m`` with these words would run.

    Raises:
        InputError: If it cannot be composed.
    """
    with checked_composition(), initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        master = hydra.config_loader.load_configuration("train", words, RunMode.MULTIRUN)
        params: Any = OmegaConf.to_container(master.hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
        typed = [f"{key}={value}" for key, value in params.items()] + words
        overrides = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(typed)
        jobs = _known_jobs(overrides, master.hydra.sweeper)
        return Path(master.hydra.sweep.dir), Composer(hydra.config_loader, master).plan(jobs)


def _known_jobs(overrides: list[Override], sweeper: DictConfig) -> list[list[str]]:
    """Returns the overrides of each job; of a search, those of its early trials, which need no results."""
    if "trials" not in sweeper:
        (jobs,) = Grid.split_arguments(overrides, None)
        return jobs
    space, early = SearchSpace(overrides), min(int(sweeper.early), int(sweeper.trials))
    starts = [(*words, *words_of(space.early(slot))) for words in space.combinations for slot in range(early or 1)]
    return [[*start, *words] for start in starts for words in space.repeats]


def _retry(given: argparse.Namespace) -> None:
    """Runs each failed or interrupted job from its listed overrides, as a single run in its folder.

    Raises:
        WorkerError: If a job failed again.
    """
    jobs = read_plan(given.folder)
    if not jobs:
        raise InputError(
            f"Expected {given.folder} to list its jobs (.plan), but it does not. Repeat its command instead"
        )
    crashed = 0
    for job in jobs:
        folder = given.folder / job.name
        if look(folder).state not in (FAILED, INTERRUPTED):
            continue
        print(f"{job.name}: {' '.join(job.words)}", flush=True)
        place = f"hydra.run.dir='{folder.absolute()}'"
        words = [sys.executable, "-m", "clsnorm.experiment", *job.words, "hydra.mode=RUN", place]
        crashed += subprocess.run(words, check=False).returncode != 0
    if crashed:
        raise WorkerError(f"{crashed} of the retried jobs failed again")


def _clean(given: argparse.Namespace) -> None:
    """Lists, or removes, folders and files of the given kinds; never of a job that is running."""
    states = look_at_all(given.folder, [])
    found = list(_removable(given, states))
    if not any((given.failed, given.interrupted, given.weights)):
        raise InputError("Expected what to remove: --failed, --interrupted or --weights")
    lines = [f"{'removing' if given.yes else 'would remove'} {path}, {readable(_size(path))}" for path in found]
    total = readable(sum(map(_size, found)))
    _print([*lines, f"{total} in {len(found)} places{'' if given.yes else '; --yes removes them'}"])
    for path in found if given.yes else ():
        delete(path)


def _removable(given: argparse.Namespace, states: list[JobState]) -> Iterator[Path]:
    kinds = [kind for kind, chosen in ((FAILED, given.failed), (INTERRUPTED, given.interrupted)) if chosen]
    for state in states:
        if state.state in kinds:
            yield state.folder
        elif state.state == DONE and given.weights:
            yield from (path for path in (state.folder / name for name in WEIGHTS) if path.exists())


def _size(path: Path) -> int:
    return bytes_in(path) if path.is_dir() else path.stat().st_size if path.exists() else 0
