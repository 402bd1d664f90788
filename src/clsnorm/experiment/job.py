"""The job of ``train``: one composed configuration, trained in its run folder on one device or several."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clsnorm.command.standard_streams import printing
from clsnorm.command.sweep import REFUSALS, is_quiet, is_sweep, reporting
from clsnorm.config import check_parts, prepare
from clsnorm.config.model_folder import check_model_folder
from clsnorm.errors import refuse
from clsnorm.launch.devices import count_processes, require_precision
from clsnorm.launch.one_machine import launch
from clsnorm.launch.several_machines import join, lead, require_tasks
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.run_folder.lease import InUseError
from clsnorm.run_folder.results import REUSED
from clsnorm.run_folder.stored_config import HASH

# Returned for an undefined score, by mode: sweepers can rank it, while many reject None and NaN.
WORST = {"max": -math.inf, "min": math.inf}


def run(config: DictConfig) -> float:
    """Runs a composed configuration; a finished run is only shown, an interrupted one resumes.

    Returns:
        The monitored metric on the select split, of the selected checkpoint, for a sweeper. If it is undefined, the
        worst of all numbers: minus infinity for a metric of mode ``max``, plus infinity for ``min``.

    Raises:
        InputError: If the user's input is refused; nothing new is left behind then.
    """
    from hydra.core.hydra_config import HydraConfig

    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    with reporting(folder.results):
        try:
            plain = prepare(config)
        except REFUSALS:
            folder.discard_if_empty()
            raise
        results = _results_of(plain, folder)
    if not is_quiet():
        from clsnorm.experiment.score_table import print_tables

        with printing():
            print_tables(results, plain, folder.path)
    score = results["metrics"].get(f"select/{results['monitor']}")
    return WORST[plain["data"]["mode"]] if score is None else score


def _results_of(config: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Returns the results of the run in ``folder``, and trains it first unless it has finished."""
    machines = config["trainer"].get("num_nodes") or 1
    if machines > 1:
        _require_alone(machines)
    try:
        return _lead(config, folder, machines)
    except InUseError:
        if machines == 1 or not _join(config, folder, machines):
            raise
    return _lead(config, folder, machines)


def _require_alone(machines: int) -> None:
    require_tasks(machines, os.environ)
    if is_sweep():
        refuse("trainer.num_nodes", "1 in a sweep", machines, "Type the sweep's command on each machine: they share it")


def _join(config: dict[str, Any], folder: RunFolder, machines: int) -> bool:
    """Runs this machine's part of a run that another process leads; False if that process calls no others."""
    processes = count_processes(config["trainer"], prefix="trainer.")
    accelerator, task = str(config["trainer"]["accelerator"]), f"{__name__}:work"
    sizes = {"machines": machines, "processes": processes}
    return join(folder.path, run=config[HASH], **sizes, accelerator=accelerator, task=task)


def _lead(config: dict[str, Any], folder: RunFolder, machines: int) -> dict[str, Any]:
    with Claim(folder).hold(config, patient=not is_sweep()) as finished:  # a sweep has other jobs meanwhile
        if finished is not None:
            folder.require_results(REUSED)
            from clsnorm.experiment.reuse import log_finished

            log_finished(finished, config, folder)
        else:
            check_model_folder(config["model"])
            processes = count_processes(config["trainer"], prefix="trainer.")
            check_parts(config)
            require_precision(config["trainer"], prefix="trainer.")
            _execute_or_launch(config, folder, processes, machines)
        return folder.require_results(REUSED)


def _execute_or_launch(config: dict[str, Any], folder: RunFolder, processes: int, machines: int) -> None:
    accelerator, task = str(config["trainer"]["accelerator"]), f"{__name__}:work"
    if machines > 1:
        sizes = {"machines": machines, "processes": processes}
        lead(folder.path, run=config[HASH], **sizes, accelerator=accelerator, task=task)
        return
    if processes > 1:
        launch(folder.path, processes=processes, accelerator=accelerator, task=task)
        return
    from clsnorm.experiment.run import execute  # imports torch, which a launching parent does not need
    from clsnorm.experiment.shared_models import MODEL

    if _is_job_of_sweep():
        MODEL.expect_jobs()
    execute(config, folder)


def _is_job_of_sweep() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def work(folder: Path) -> None:
    """Trains as one of several workers; rank 0 marks the folder as in use."""
    from clsnorm import distributed
    from clsnorm.experiment.run import execute

    run_folder = RunFolder(folder)
    with run_folder.hold_as_worker() if distributed.rank() == 0 else contextlib.nullcontext():
        execute(run_folder.read_config(), run_folder)
