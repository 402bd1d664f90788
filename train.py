"""Fine-tunes a text classifier with a normalizer of the [CLS] embedding.

python train.py normalizer=layernorm data=sst2
python train.py -m normalizer=identity,layernorm seed=0,1,2
"""

import sys

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    """Runs one configuration and returns its score on the select split, which sweepers optimize."""
    from clsnorm.experiment.job import run

    return run(config)


if __name__ == "__main__":
    from clsnorm.command.status import run_command

    sys.exit(run_command(main))
