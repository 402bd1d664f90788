"""The configuration of a run, composed as in ``train.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from clsnorm.config import names, prepare

CONF = Path(__file__).parents[1] / "conf"


def composed(words: list[str]) -> DictConfig:
    """Returns the configuration of ``python train.py WORDS`` and sets `HydraConfig`, with its choices and folder."""
    names.register()
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        config = compose("train", words, return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(Path(config.hydra.run.dir).absolute())
    HydraConfig.instance().set_config(config)
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def resolved(words: list[str]) -> dict[str, Any]:
    """Returns the same as plain values, as in a run's ``config.yaml``."""
    return prepare(composed(words))
