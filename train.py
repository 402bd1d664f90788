"""Fine-tunes a text classifier with a normalizer of the [CLS] embedding.

python train.py normalizer=layernorm data=sst2
python train.py -m normalizer=identity,layernorm seed=0,1,2
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    """Runs one configuration and returns its score on the select split, which sweepers optimize."""
    from clsnorm.experiment.job import run

    return run(config)


def print_table(folder: Path, runs: list[Path]) -> None:
    """Prints how the arms of a sweep compare."""
    from clsnorm.report.sweep_table import print_after_sweep

    print_after_sweep(folder, runs)


if __name__ == "__main__":
    from clsnorm.command.status import run_command

    sys.exit(run_command(main, after_sweep=print_table))
