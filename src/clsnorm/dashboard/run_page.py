"""The page of one run: everything that it logged, in one HTML file that needs no network and no account."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from clsnorm.dashboard.curves import Series, draw
from clsnorm.dashboard.layout import sections_for
from clsnorm.errors import InputError
from clsnorm.pages.rendering import write_html

TEMPLATE = "dashboard/templates/run.html.jinja"


def write_page(folder: Path) -> Path:
    """Writes ``dashboard.html`` into a run's folder and returns its path.

    Raises:
        InputError: If the folder holds no finished run.
    """
    results, series, events = read_results(folder), read_series(folder), read_events(folder)
    return write_html(
        folder / "dashboard.html",
        TEMPLATE,
        title=f"{results['normalizer']} on {results['data']}",
        subtitle=f"{results['model']}, seed {results['seed']}, {results['steps']} steps",
        headline=_headline(results),
        state=_state(results),
        sections=_sections(series, steps=[int(row["step"]) for row in events]),
        events=events,
        metrics=sorted(results["metrics"].items()),
    )


def read_results(folder: Path) -> dict[str, Any]:
    """Returns ``results.json``; raises InputError if the file does not exist."""
    path = folder / "results.json"
    if not path.is_file():
        raise InputError(f"Expected {folder} to hold a finished run (results.json), but it does not")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_series(folder: Path) -> dict[str, Series]:
    """Returns steps and values of each column of ``metrics.csv``, without empty cells; InputError if it is missing."""
    series: dict[str, list[tuple[int, float]]] = {}
    path = folder / "metrics.csv"
    if not path.is_file():
        raise InputError(f"Expected {folder} to hold the logged numbers of a run (metrics.csv), but it does not")
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step"))
            for name, cell in row.items():
                if cell:
                    series.setdefault(name, []).append((step, float(cell)))
    return dict(series)


def read_events(folder: Path) -> list[dict[str, str]]:
    """Returns the rows of ``events.csv``; none if it is missing."""
    path = folder / "events.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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
        return f"was ended by {results['aborted_by']}"
    return "collapsed" if results["collapsed"] else ""


def _sections(series: dict[str, Series], *, steps: list[int]) -> list[dict[str, Any]]:
    """Title and SVG figures of each section that has any; panels without logged numbers are left out."""
    sections = []
    for section in sections_for(series):
        chosen = [(panel, {name: series[name] for name in panel.among(series)}) for panel in section.panels]
        svgs = [draw(panel, lines, events=steps) for panel, lines in chosen if lines]
        if svgs:
            sections.append({"title": section.title, "svgs": svgs})
    return sections
