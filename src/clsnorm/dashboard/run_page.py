"""The page of one run: everything that it logged, in one HTML file that needs no network and no account."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clsnorm.dashboard.curves import Series, draw
from clsnorm.dashboard.layout import sections_for
from clsnorm.dashboard.run_answers import MEANINGS, describe_answers
from clsnorm.dashboard.run_nulls import noise_intervals, null_rows
from clsnorm.pages.rendering import write_html
from clsnorm.report.sweeps.example_table import read_answers
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.results import SHOWN, require, shortfall

TEMPLATE = "dashboard/templates/run.html.jinja"


def write_page(folder: Path, texts: Mapping[int, Sequence[str]] | None = None) -> Path:
    """Writes ``dashboard.html`` into a run's folder and returns its path.

    The page of a folder that cannot be written goes into the working directory, named after the folder.

    Args:
        folder: Of the run.
        texts: Of the report examples, by id, to show next to mistakes; see `clsnorm.dashboard.report_texts`.

    Raises:
        InputError: If the folder holds no finished run, or a file that is damaged or not of a run.
    """
    run = RunFolder(folder)
    results, series, events = run.require_results(), run.read_series(), run.read_events()
    require(results, run.results, SHOWN)
    run.warn_of_changes(results)
    return write_html(
        folder / "dashboard.html" if os.access(folder, os.W_OK) else Path(f"{folder.resolve().name}.html"),
        TEMPLATE,
        title=f"{results['normalizer']} on {results['data']}",
        subtitle=f"{results['model']}, seed {results['seed']}, {results['steps']} steps",
        headline=_headline(results),
        state=_state(results),
        changes=run.changes(results),
        sections=_sections(series, noise_intervals(folder, series), steps=[int(row["step"]) for row in events]),
        answers=describe_answers(read_answers(folder), (results.get("source") or {}).get("labels"), texts),
        meanings=MEANINGS,
        nulls=null_rows(folder, results["metrics"]),
        events=events,
        metrics=sorted(results["metrics"].items()),
    )


def _headline(results: dict[str, Any]) -> list[tuple[str, float | None]]:
    metrics, monitor = results["metrics"], results["monitor"]
    return [
        (f"report {monitor}", metrics.get(f"report/{monitor}")),
        (f"select {monitor} (best, after {results['selected_step']} steps)", metrics.get(f"select/{monitor}")),
        ("majority class", results["majority"]),
        ("training examples", results["train_examples"]),
        ("training examples per second", results["examples_per_second"]),
    ]


def _state(results: dict[str, Any]) -> str:
    """What went wrong, as the end of a sentence; empty if nothing did."""
    if results["status"] == "diverged":
        return "diverged"
    if results["status"] == "aborted":
        return f"was ended by {results.get('aborted_by')}"
    return shortfall(results)


def _sections(
    series: Mapping[str, Series], intervals: Mapping[str, tuple[float, float]], *, steps: list[int]
) -> list[dict[str, Any]]:
    """Title and figures, as pairs of title and SVG text, of each section that has any.

    Panels without logged numbers are left out.
    """
    sections = []
    for section in sections_for(series):
        chosen = [(panel, {name: series[name] for name in panel.among(series)}) for panel in section.panels]
        figures = [(panel.title, draw(panel, lines, intervals, events=steps)) for panel, lines in chosen if lines]
        if figures:
            sections.append({"title": section.title, "figures": figures})
    return sections
