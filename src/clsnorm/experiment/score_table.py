"""The tables that a run prints at its end: scores, the bias of [CLS], what it took, and what to type next."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clsnorm.pages.numbers import UNDEFINED, plural
from clsnorm.report.estimates.score_intervals import score_intervals
from clsnorm.report.sweeps.example_table import UNSTATED_METRICS
from clsnorm.run_folder.results import shortfall

BIAS = {
    "centred_share": "mean in mean square",
    "top_energy_share": "top-5 energy share",
}


def print_tables(results: dict[str, Any], config: Mapping[str, Any], folder: Path) -> None:
    """Prints scores with their intervals, the bias of [CLS] before and after training, time, folder and next commands.

    Args:
        results: Content of ``results.json``.
        config: Of the run, resolved.
        folder: Of the run.
    """
    console = Console()
    with contextlib.suppress(SystemExit):  # what rich raises if a pipe is closed, as by `| head`
        console.print(_scores(results, config, folder))
        if bias := _bias(results["metrics"]):
            console.print(bias)
        for line in _facts(results, config):
            console.print(escape(line), soft_wrap=True, highlight=False)
        console.print(escape(f"written to {folder}"), soft_wrap=True, highlight=False)
        for line in _next_commands(results, folder):
            console.print(escape(line), soft_wrap=True, highlight=False, style="dim")


def _scores(results: dict[str, Any], config: Mapping[str, Any], folder: Path) -> Table:
    title = f"{results['normalizer']} on {results['data']}, {results['model']}, seed {results['seed']}"
    table = Table(title=escape(title))  # names may look like markup
    table.add_column("score")
    for heading in ("select", "report", "95 % over report rows", "majority class"):
        table.add_column(heading, justify="right")
    metrics, monitor = results["metrics"], results["monitor"]
    specs = UNSTATED_METRICS | ((config.get("data") or {}).get("metrics") or {})
    names = [monitor, *(name for name in [*specs, "loss"] if name != monitor and f"report/{name}" in metrics)]
    report = {name: metrics.get(f"report/{name}") for name in names}
    intervals = score_intervals(folder, specs, report)
    for name in names:
        interval = " to ".join(map(_number, intervals[name])) if name in intervals else ""
        values = (_number(metrics.get(f"select/{name}")), _number(report[name]))
        table.add_row(escape(name), *values, interval, _number(results["majority"]) if name == monitor else "")
    return table


def _bias(metrics: Mapping[str, float | None]) -> Table | None:
    """[CLS] before the normalizer, h, and after it, z: the same examples of select before and after training."""
    keys = [(f"cls/{split}/{point}", split, point) for split in ("start", "select") for point in "hz"]
    if not any(f"{prefix}/{name}" in metrics for prefix, _, _ in keys for name in BIAS):
        return None
    table = Table(title=r"Bias of \[CLS] before and after training, at the normalizer's input h and output z")
    table.add_column("statistic")
    for _, split, point in keys:
        table.add_column(f"{point} {'before' if split == 'start' else 'after'}", justify="right")
    for name, label in BIAS.items():
        table.add_row(label, *(_number(metrics.get(f"{prefix}/{name}")) for prefix, _, _ in keys))
    return table


def _facts(results: dict[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Lines of what training took and how it ended."""
    rate = (config.get("optimizer") or {}).get("lr")
    took = [
        plural(results["steps"], "step"),
        *([plural(results["epochs"], "epoch")] if "epochs" in results else []),
        *([f"learning rate {rate:g}"] if isinstance(rate, float | int) else []),
        f"{results['examples_per_second']:.0f} training examples per second",
        *([f"{results['seconds']:.0f} s in all"] if "seconds" in results else []),
    ]
    lines = [f"{', '.join(took)}; selected after {results['selected_step']} steps"]
    if profile := results.get("profile"):
        in_steps, in_all = (sum(cost[key] for cost in profile.values()) for key in ("step_share", "share"))
        lines.append(f"observers took {in_steps:.1%} of the training time in steps, {in_all:.1%} in all")
    if state := shortfall(results) if results["status"] == "completed" else results["status"]:
        lines.append(f"status: {state}")
    return lines


def _next_commands(results: dict[str, Any], folder: Path) -> list[str]:
    place = shlex.quote(str(folder))
    lines = [f"next: python -m clsnorm.dashboard {place}    curves, classes, mistakes"]
    if results["status"] == "completed":
        lines.append(f'      python -m clsnorm.predict run={place} text="..."')
    return lines


def _number(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"
