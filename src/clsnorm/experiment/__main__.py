"""``python -m clsnorm.experiment``: the same as ``python train.py``, for an installed package."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from clsnorm.command.status import run_command
from clsnorm.config import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> float | None:
    """Runs one configuration and returns its score on the select split, which sweepers optimize."""
    from clsnorm.experiment.job import run

    return run(config)


def print_table(folder: Path, runs: list[Path]) -> None:
    """Prints how the arms of a sweep compare."""
    from clsnorm.report.sweep_table import print_after_sweep

    print_after_sweep(folder, runs)


if __name__ == "__main__":
    sys.exit(run_command(main, after_sweep=print_table))
