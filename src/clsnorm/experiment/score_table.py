"""The table that a run prints at its end."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from clsnorm.run_folder.results import shortfall

NOT_MEASURED = "–"
BIAS = {
    "centred_share": "mean in mean square",
    "top_energy_share": "top-5 energy share",
}


def print_table(results: dict[str, Any], folder: Path) -> None:
    """Prints a run's score and the majority class's, the bias of [CLS] before and after training, speed and folder."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"{results['normalizer']} on {results['data']}, {results['model']}, seed {results['seed']}"
    table = Table(title=escape(title))  # names may look like markup
    table.add_column()
    for heading in ("majority class", "before training", "after training"):
        table.add_column(heading, justify="right")
    metrics, name = results["metrics"], results["monitor"]
    score = _number(metrics.get(f"report/{name}"))
    table.add_row(escape(f"report {name}"), _number(results["majority"]), NOT_MEASURED, score)
    for key, label in BIAS.items():  # the same examples before and after
        values = (metrics.get(f"cls/{split}/h/{key}") for split in ("start", "select"))
        table.add_row(rf"\[CLS]: {label}", "", *map(_number, values))
    table.add_row("training examples per second", "", "", f"{results['examples_per_second']:.0f}")
    if profile := results.get("profile"):
        in_steps, in_all = (sum(cost[key] for cost in profile.values()) for key in ("step_share", "share"))
        table.add_row("observers in steps and in all, of training time", "", "", f"{in_steps:.1%}, {in_all:.1%}")
    if state := shortfall(results) if results["status"] == "completed" else results["status"]:
        table.add_row("status", "", "", escape(state))
    console = Console()
    with contextlib.suppress(SystemExit):  # what rich raises if a pipe is closed, as by `| head`
        console.print(table)
        console.print(escape(f"written to {folder}"), soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4f}"
