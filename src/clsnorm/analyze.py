"""``python -m clsnorm.analyze data=sst2``: [CLS] before fine-tuning, at every layer.

python -m clsnorm.analyze -m data=rotten_tomatoes,trec,sst2
python -m clsnorm.analyze run=runs/NAME
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clsnorm import naming, sweeping

log = logging.getLogger(__name__)
CONF = Path(__file__).parents[2] / "conf"


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="analyze")
def main(config: DictConfig) -> None:
    """Analyzes one configuration in its folder, unless that is done."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.analysis.run import AnalysisFolder, execute
    from clsnorm.checks import count_processes
    from clsnorm.launch import launch

    folder = AnalysisFolder(Path(HydraConfig.get().runtime.output_dir))
    with sweeping.failure_told(folder.path.name):
        try:
            plain = resolve(config, OmegaConf.to_container(HydraConfig.get().runtime.choices))  # type: ignore[arg-type]
        except OmegaConfBaseException:
            folder.discard_if_empty()
            raise
        with folder.claim(plain) as finished:
            if finished is not None:
                log.info("done before: %s; force=true analyzes again", folder.path)
            elif (processes := count_processes(plain)) > 1:
                launch(folder.path, processes=processes, task="analyze")
            else:
                execute(plain, folder.path)
    print(f"written to {folder.path}/analysis.html; all together: {folder.path.parent}/index.html")


def resolve(config: DictConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """Returns ``config`` as plain values, with its hash, the chosen options, and what the model's file says of it."""
    from clsnorm.catalogue import description

    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    plain["config_hash"] = naming.analysis_hash(config)
    plain["choices"] = {key: value for key, value in choices.items() if key in plain}
    plain["note"] = description(CONF / "model" / f"{plain['choices']['model']}.yaml")
    return plain


if __name__ == "__main__":
    from clsnorm.command import run_command

    sys.exit(run_command(main))
