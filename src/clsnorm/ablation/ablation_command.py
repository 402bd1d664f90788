"""One study as a command: read what was measured before, or measure it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clsnorm.ablation.ablation_page import as_table, write_ablation_page
from clsnorm.ablation.plan import AblationPlan
from clsnorm.ablation.stored_ablations import AblationFolder
from clsnorm.ablation.study import study
from clsnorm.errors import refuse
from clsnorm.experiment.loaded import read_run
from clsnorm.files import held, write_text
from clsnorm.pages.numbers import number


def study_or_read(run: Path, plan: AblationPlan, *, name: str, accelerator: str, force: bool) -> str:
    """Studies a run, unless that is done, writes its files, and returns one line on the result.

    ``ablation.json`` is written last. An interrupted study starts over, from the cached embeddings.

    Args:
        run: The folder of a finished run.
        plan: The options.
        name: Of the study.
        accelerator: ``cpu``, ``gpu`` or ``auto``.
        force: Whether to measure again what was measured before.

    Raises:
        InputError: If the run has not finished, or a study of this name had other options.
    """
    config, _ = read_run(run)
    folder = AblationFolder(run, name)
    device = _device(accelerator)
    with held(run):
        record = None if force else folder.read(plan)
        if done := record is not None:
            found = record
        else:
            found = study(run, plan, cache=Path(config["paths"]["cache"]).expanduser(), device=device)
        write_text(folder.table, as_table(found))
        write_ablation_page(folder, found, run.resolve().name)
        if not done:
            folder.write(found)
    return f"{'done before' if done else 'written to'} {folder.page}: {_summary(found)}"


def _device(accelerator: str) -> torch.device:
    if accelerator == "gpu" and not torch.cuda.is_available():
        refuse("accelerator", "cpu or auto on a machine without a GPU", accelerator)
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def _summary(record: Mapping[str, Any]) -> str:
    chosen, report = record["chosen"], record["report"]
    if chosen is None:
        return "no outlier dimension by any definition"
    size = report["nulls"]["size"]["effects"]["score"]
    return (
        f"{chosen['ablation']} of {len(chosen['dimensions'])} outlier dimensions ({', '.join(chosen['definitions'])}) "
        f"costs {number(report['effect']['score'])} {record['run']['monitor']}; random sets of that size "
        f"{number(size['mean'])}, percentile {number(100 * size['percentile']) if size['percentile'] else '–'}"
    )
