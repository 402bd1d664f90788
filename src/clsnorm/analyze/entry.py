"""``python -m clsnorm.analyze data=sst2``: [CLS] before fine-tuning, at every layer.

python -m clsnorm.analyze -m data=rotten_tomatoes,trec,sst2
python -m clsnorm.analyze run=runs/NAME
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from clsnorm.command import sweep as sweeping
from clsnorm.config import choices as options
from clsnorm.config import names as naming
from clsnorm.config.choices import CONF
from clsnorm.errors import InputError
from clsnorm.pages import figure as plotting

log = logging.getLogger(__name__)
OF_THE_RUN = ("data", "model", "seed", "seeds")  # what a fine-tuned run has settled


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="analyze")
def main(config: DictConfig) -> None:
    """Analyzes one configuration in its folder, unless that is done."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.analyze.analysis import AnalysisFolder, execute
    from clsnorm.config.roles import check_groups
    from clsnorm.launch.one_machine import launch
    from clsnorm.run_folder import provenance

    folder = AnalysisFolder(Path(HydraConfig.get().runtime.output_dir))
    with sweeping.failure_told(folder.path.name):
        try:
            options.require_known(config, "analyze")
            plain = resolve(config, OmegaConf.to_container(HydraConfig.get().runtime.choices))  # type: ignore[arg-type]
            processes = check(plain, list(HydraConfig.get().overrides.task))
            check_groups(plain, ("data", "model"))
        except sweeping.REFUSALS:
            folder.discard_if_empty()
            raise
        with folder.claim(plain) as finished:
            if finished is not None:
                differs = provenance.differing(finished["commit"])
                log.info("done before%s: %s; force=true analyzes again", differs, folder.path)
            elif processes > 1:
                launch(folder.path, processes=processes, task="clsnorm.analyze.analysis:execute")
            else:
                execute(plain, folder.path)
    print(f"written to {folder.path}/analysis.html; all together: {folder.path.parent}/index.html")


def resolve(config: DictConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """Returns ``config`` as plain values, with its hash, the chosen options, and what the model's file says of it.

    Raises:
        InputError: If ``config.run`` holds no finished run, whose options these then are.
    """
    from clsnorm.config.choices import description
    from clsnorm.experiment.loaded import read_run

    plain = naming.recorded(config)
    plain["config_hash"] = naming.analysis_hash(config)
    chosen = read_run(plain["run"])[0]["choices"] if plain["run"] else choices
    plain["choices"] = {key: chosen[key] for key in ("data", "model")}
    plain["note"] = description(CONF / "model" / f"{plain['choices']['model']}.yaml")
    return plain


def check(config: dict[str, Any], overrides: list[str]) -> int:
    """Checks a resolved configuration and returns the number of processes it asks for.

    Raises:
        InputError: If an override contradicts the run that is analyzed, a device is not there, or figures cannot be
            drawn.
    """
    from clsnorm.config.rules import count_processes

    plotting.require()
    settled = [text for text in overrides if text.lstrip("+~").partition("=")[0].split(".")[0] in OF_THE_RUN]
    if config["run"] and settled:
        raise InputError(
            f"Expected run={config['run']} to come without {' '.join(settled)}: data and model are those of the run. "
            "Leave one of them out"
        )
    return count_processes(config, prefix="")
