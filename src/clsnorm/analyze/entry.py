"""``python -m clsnorm.analyze data=sst2``: [CLS] before fine-tuning, at every layer.

python -m clsnorm.analyze -m data=rotten_tomatoes,trec,sst2
python -m clsnorm.analyze run=runs/NAME
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from clsnorm.command.sweep import REFUSALS, reporting
from clsnorm.config import CONF, check_groups, prepare
from clsnorm.config.choices import description, find_option
from clsnorm.errors import InputError
from clsnorm.launch.devices import count_processes
from clsnorm.launch.one_machine import launch
from clsnorm.pages.figure import require as require_matplotlib

log = logging.getLogger(__name__)
OF_THE_RUN = ("data", "model", "seed", "seeds")  # what a fine-tuned run has already fixed


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="analyze")
def main(config: DictConfig) -> None:
    """Analyzes one configuration in its folder, unless that is done."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.run_folder import RunFolder

    output = Path(HydraConfig.get().runtime.output_dir)
    with reporting(output / "analysis.json"):
        try:
            plain = resolve(config, HydraConfig.get().overrides.task)
            processes = count_processes(plain)
            check_groups(plain, ("data", "model"))
        except REFUSALS:
            RunFolder(output).discard_if_empty()
            raise
        _analyze_or_launch(plain, output, processes)
    print(f"written to {output}/analysis.html; all together: {output.parent}/index.html")


def _analyze_or_launch(config: dict[str, Any], output: Path, processes: int) -> None:
    from clsnorm.analyze.analysis import AnalysisFolder, execute
    from clsnorm.analyze.joint_page import update_joint_page
    from clsnorm.run_folder import provenance
    from clsnorm.run_folder.claim import Claim

    analysis = AnalysisFolder(output)
    with Claim(analysis).hold(config) as finished:
        if finished is not None:
            analysis.require_results(("commit", "sides"))
            update_joint_page(output)  # a killed analysis may not have reached this
            log.info("done before%s: %s; force=true analyzes again", provenance.differing(finished["commit"]), output)
        elif processes > 1:
            launch(
                output,
                processes=processes,
                accelerator=str(config["accelerator"]),
                task="clsnorm.analyze.analysis:work",
            )
        else:
            execute(config, output)


def resolve(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns ``config`` as `prepare` does, with ``note``: how the model's file describes it.

    The choices are those of the run, if one is analyzed.

    Raises:
        InputError: If a value is refused, or ``config.run`` holds no finished run.
    """
    plain = prepare(config, "analyze")
    require_possible(plain["run"], overrides)
    choices = _choices_of(plain["run"]) if plain["run"] else plain["choices"]
    plain["choices"] = {key: choices[key] for key in ("data", "model")}
    path = find_option("model", plain["choices"]["model"])
    return plain | {"note": description(path) if path else ""}


def _choices_of(run: str) -> dict[str, Any]:
    from clsnorm.experiment.loaded import read_run  # imports torch

    return read_run(run)[0]["choices"]


def require_possible(run: str | None, overrides: Sequence[str]) -> None:
    """Raises `InputError` if figures cannot be drawn, or an override contradicts the run that is analyzed."""
    require_matplotlib()
    fixed = [text for text in overrides if text.lstrip("+~").partition("=")[0].split(".")[0] in OF_THE_RUN]
    if run and fixed:
        raise InputError(
            f"Expected run={run} to come without {' '.join(fixed)}: data and model are those of the run. "
            "Leave one of them out"
        )
