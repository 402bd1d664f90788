"""The page of several runs: each logged number in one figure, with a line for each run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clsnorm.dashboard.curves import NOISE, SELECT, START, Series, draw
from clsnorm.dashboard.layout import SECTIONS, Panel
from clsnorm.errors import InputError
from clsnorm.pages.rendering import write_html
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.run_row import DAMAGED, RunRow, read_row
from clsnorm.run_folder import RunFolder

TEMPLATE = "dashboard/templates/overlay.html.jinja"
FILE = "runs.html"
MOST = 24  # runs on one page
FEW = 6  # numbers of a panel; of more, such as one per layer, the first and the last are drawn


def write_overlay(folders: Sequence[Path], place: Path = Path()) -> Path:
    """Writes ``runs.html`` with the curves of runs, finished or not, and returns its path.

    Args:
        folders: Of the runs.
        place: Folder of the page.

    Raises:
        InputError: If a folder holds no run, a file of it is damaged, or there are more than `MOST` runs.
    """
    if len(folders) > MOST:
        raise InputError(f"Expected at most {MOST} runs on one page, but got {len(folders)}. Name fewer")
    rows = [_row(folder) for folder in folders]
    name_arms(rows)
    labels = labels_of(rows)
    runs = {label: RunFolder(row.path).read_series() for label, row in zip(labels, rows, strict=True)}
    return write_html(
        place / FILE,
        TEMPLATE,
        title=f"{len(rows)} runs",
        subtitle=", ".join(sorted({row.task for row in rows})),
        runs=[_line(label, row, place) for label, row in zip(labels, rows, strict=True)],
        sections=_sections(runs),
    )


def _row(folder: Path) -> RunRow:
    if not folder.is_dir():
        raise InputError(f"Expected {folder} to be the folder of a run, but it does not exist")
    row = read_row(RunFolder(folder))
    if row.state == DAMAGED or "choices" not in row.blocks:
        raise InputError(f"Expected {folder} to be the folder of a run, but {row.reason or 'it has no config.yaml'}")
    return row


def labels_of(rows: Sequence[RunRow]) -> list[str]:
    """Returns what differs between runs, as a name for each: data, arm, model, learning rate, seed.

    Runs without such a difference have the names of their folders, too.
    """
    parts = [
        {
            "data": row.task,
            "arm": row.arm,
            "model": row.choice("model"),
            "lr": f"lr={row.lr:g}",
            "seed": f"seed {row.value('seed')}",
        }
        for row in rows
    ]
    kept = [name for name in parts[0] if len({part[name] for part in parts}) > 1]
    labels = [", ".join(part[name] for name in kept) for part in parts]
    if len(set(labels)) < len(labels):
        labels = [f"{label} {row.path.resolve().name}".strip() for label, row in zip(labels, rows, strict=True)]
    return labels


def _line(label: str, row: RunRow, place: Path) -> dict[str, Any]:
    monitor = row.results.get("monitor", "")
    link = quote(os.path.relpath(row.path, place).replace("\\", "/")) + "/"
    failed = ", failed" if row.finished and row.failed else ""
    line = {"label": label, "link": link, "state": f"{row.results.get('status', row.state)}{failed}"}
    return line | {"monitor": monitor, "score": row.score if row.finished else None}


def _sections(runs: Mapping[str, Mapping[str, Series]]) -> list[dict[str, Any]]:
    """Returns title and figures of each section; numbers that a single run has logged are left out."""
    counts: dict[str, int] = {}
    for name in (name for series in runs.values() for name in series):
        counts[name] = counts.get(name, 0) + 1
    shared = [name for name, count in counts.items() if count > 1 and not name.startswith((START, NOISE))]
    found = []
    for section in SECTIONS:
        names = [(panel, name) for panel in section.panels for name in _few(panel.among(shared))]
        if names:
            figures = [(name, _figure(panel, name, runs)) for panel, name in names]
            found.append({"title": section.title, "figures": figures})
    return found


def _few(names: Sequence[str]) -> list[str]:
    names = sorted(names)
    return names if len(names) <= FEW else [names[0], names[-1]]


def _figure(panel: Panel, name: str, runs: Mapping[str, Mapping[str, Series]]) -> str:
    """Returns a figure of one number; what was measured before training comes first in the line of the select split."""
    start = name.replace(SELECT, START)
    first = {label: series.get(start, []) if start != name else [] for label, series in runs.items()}
    lines = {label: [*first[label], *series[name]] for label, series in runs.items() if name in series}
    return draw(Panel(name, (), panel.unit, panel.log), lines)
