"""One study as a command: read what was measured before, or measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from clsnorm.ablation.ablation_page import as_table, write_ablation_page
from clsnorm.ablation.ablation_study import study
from clsnorm.ablation.outlier_sets import overlap
from clsnorm.ablation.plan import AblationPlan
from clsnorm.ablation.stored_ablations import AblationFolder
from clsnorm.experiment.loaded import read_run
from clsnorm.files import held, write_text
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.launch.devices import device_of
from clsnorm.pages.numbers import number


def study_runs(runs: Sequence[Path], plan: AblationPlan, *, name: str, accelerator: str, force: bool) -> None:
    """Studies each run (`study_or_read`), and prints how much the outliers of several runs overlap.

    Raises:
        InputError: As `study_or_read`, before the next run is studied.
    """
    keep_freed_memory()
    records = {}
    for run in runs:
        records[run.resolve().name], line = study_or_read(run, plan, name=name, accelerator=accelerator, force=force)
        print(line)
    for row in overlap_of_runs(records):
        print(
            f"{row['definition']}: {row['first']} and {row['second']}: Jaccard {number(row['jaccard'])}, "
            f"by chance {number(row['expected'])}, p {number(row['p'])}"
        )


def overlap_of_runs(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compares the outlier dimensions of h of each pair of runs by each definition that both have.

    Args:
        records: Contents of ``ablation.json`` by run; pairs of different widths are left out.
    """
    return [
        {"definition": definition, "first": one, "second": other, **overlap(ours, theirs, first["dimensions"])}
        for (one, first), (other, second) in combinations(records.items(), 2)
        if first["dimensions"] == second["dimensions"]
        for definition in _sets_of_h(first)
        if definition in _sets_of_h(second)
        for ours, theirs in [[torch.tensor(_sets_of_h(record)[definition]) for record in (first, second)]]
    ]


def _sets_of_h(record: Mapping[str, Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = record["outliers"]["after"][record["place"]]
    return found


def study_or_read(
    run: Path, plan: AblationPlan, *, name: str, accelerator: str, force: bool
) -> tuple[dict[str, Any], str]:
    """Studies a run, unless that is done, and writes its files.

    ``ablation.json`` is written last. An interrupted study starts over, from the cached embeddings.

    Args:
        run: The folder of a finished run.
        plan: The options.
        name: Of the study.
        accelerator: ``cpu``, ``gpu`` or ``auto``.
        force: Whether to measure again what was measured before.

    Returns:
        The content of ``ablation.json``, and one line on the result.

    Raises:
        InputError: If the run has not finished, or a study of this name had other options.
    """
    config, _ = read_run(run)
    folder = AblationFolder(run, name)
    device = device_of(accelerator)
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
    return found, f"{'done before' if done else 'written to'} {folder.page}: {_summary(found)}"


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
