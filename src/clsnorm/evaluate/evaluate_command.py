"""``python -m clsnorm.evaluate run=runs/NAME data=imdb``: scores a finished run on other data.

python -m clsnorm.evaluate run=runs/NAME data=hans 'classes={neutral: non-entailment, contradiction: non-entailment}'
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from clsnorm.command.sweep import REFUSALS, is_quiet, reporting
from clsnorm.config import CONF, check_groups, prepare
from clsnorm.errors import InputError

log = logging.getLogger(__name__)
AS_TRAINED = ("max_length", "packed", "eval_batch_size")  # of the data: those of the run, unless typed


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluates one run on one data set in its folder, unless that is done."""
    from hydra.core.hydra_config import HydraConfig

    from clsnorm.run_folder import RunFolder

    output = Path(HydraConfig.get().runtime.output_dir)
    with reporting(output / "evaluation.json"):
        try:
            plain = resolve(config, HydraConfig.get().overrides.task)
            check_groups(plain, ("data",))
        except REFUSALS:
            RunFolder(output).discard_if_empty()
            raise
        _evaluate(plain, output)


def _evaluate(config: dict[str, Any], output: Path) -> None:
    from clsnorm.evaluate.evaluation import EvaluationFolder, execute
    from clsnorm.evaluate.evaluation_table import print_evaluation
    from clsnorm.run_folder import provenance
    from clsnorm.run_folder.claim import Claim

    folder = EvaluationFolder(output)
    with Claim(folder).hold(config) as finished:
        if finished is None:
            execute(config, output)
        else:
            log.info("done before%s: %s; force=true evaluates again", provenance.differing(finished["commit"]), output)
        if not is_quiet():
            print_evaluation(folder.require_results(("commit", "parts", "run", "data")), output)


def resolve(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns ``config`` as `prepare` does; texts are cut and batched as in the run, unless ``overrides`` differ.

    Raises:
        InputError: If a value is refused, no data set is chosen, or ``config.run`` holds no finished run.
    """
    from clsnorm.experiment.loaded import read_run  # imports torch

    typed = {word.lstrip("+~").partition("=")[0] for word in overrides}
    if "data" not in typed:
        raise InputError("Expected a data set to score the run on: data=NAME. `python -m clsnorm.data` lists them")
    plain = prepare(config, "evaluate")
    trained, _ = read_run(plain["run"])
    for key in AS_TRAINED:
        if f"data.{key}" not in typed and key in trained["data"]:
            plain["data"][key] = trained["data"][key]
    plain["run"] = str(Path(plain["run"]).resolve())
    plain["choices"] = {"data": plain["choices"]["data"], "model": trained["choices"]["model"]}
    return plain
