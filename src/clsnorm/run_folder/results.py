"""``results.json``, and the table at the end of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm import distributed

log = logging.getLogger(__name__)
NOT_MEASURED = "–"
BIAS = {
    "centred_share": "mean in mean square",
    "top_energy_share": "top-5 energy share",
}


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Returns ``metrics`` with None for what is not finite, which JSON has no word for, and tells of which.

    A loss may have diverged; a correlation with labels or predictions that are all the same is not defined.
    """
    others = [name for name, value in metrics.items() if not math.isfinite(value)]
    if others and distributed.rank() == 0:
        log.warning("not finite, so null in results.json: %s", ", ".join(others))
    return {**metrics, **dict.fromkeys(others)}


def print_table(results: dict[str, Any], folder: Path) -> None:
    """Prints a run's score beside the majority class, the bias of [CLS] before and after, the speed and the folder."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{results['normalizer']} on {results['data']}, {results['model']}, seed {results['seed']}")
    table.add_column()
    for heading in ("majority class", "before training", "after training"):
        table.add_column(heading, justify="right")
    metrics, name = results["metrics"], results["monitor"]
    score = _number(metrics.get(f"report/{name}"))
    table.add_row(f"report {name}", _number(results["majority"]), NOT_MEASURED, score)
    for key, label in BIAS.items():  # the same examples before and after
        values = (metrics.get(f"cls/{split}/h/{key}") for split in ("start", "select"))
        table.add_row(rf"\[CLS]: {label}", "", *map(_number, values))
    table.add_row("training examples per second", "", "", f"{results['examples_per_second']:.0f}")
    if profile := results.get("profile"):
        in_steps, in_all = (sum(cost[key] for cost in profile.values()) for key in ("step_share", "share"))
        table.add_row("observers in steps and in all, of training time", "", "", f"{in_steps:.1%}, {in_all:.1%}")
    if results["status"] != "completed" or results["collapsed"]:
        table.add_row("status", "", "", results["status"] if results["status"] != "completed" else "collapsed")
    console = Console()
    console.print(table)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4f}"
