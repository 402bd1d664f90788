"""The files of a report: HTML, Markdown, JSON, CSV, LaTeX with the same numbers. The same runs give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clsnorm.files import write_text, writing
from clsnorm.pages.figure import write_drawn
from clsnorm.pages.spreadsheet import csv_text
from clsnorm.report.curve_figures import draw_budgets, draw_profile
from clsnorm.report.forest import draw_forest
from clsnorm.report.latex import tables
from clsnorm.report.markdown import document
from clsnorm.report.report_page import write_report_page
from clsnorm.report.sections import BUILDERS, CSV_ONLY

TABLES = ("verdicts", "claims", "equal_rates", "arms", *BUILDERS, *CSV_ONLY)


def write_report(folder: Path, facts: Mapping[str, Any]) -> list[Path]:
    """Writes all files and returns their paths.

    Args:
        folder: Created if it does not exist.
        facts: Of `clsnorm.report.collected_facts.collected`.

    Raises:
        DiskError: If a file cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.md": document(facts), "report.json": json.dumps(facts, indent=1, ensure_ascii=False) + "\n"}
    texts |= {f"{name}.tex": text for name, text in tables(facts).items()}
    texts |= {f"{name}.csv": table_text(facts[name]) for name in TABLES if facts[name]}
    paths = []
    for name, text in texts.items():
        write_text(folder / name, text)
        paths.append(folder / name)
    drawn = _figures(folder, facts, paths)
    paths.append(write_report_page(folder / "report.html", facts, drawn))
    return paths


def _figures(folder: Path, facts: Mapping[str, Any], paths: list[Path]) -> dict[str, str]:
    """Writes the figures as SVG, PNG and PDF, if matplotlib is installed, and returns the SVGs by their place."""
    if find_spec("matplotlib") is None:
        return {}
    drawn = {
        ("verdicts", "forest"): draw_forest(facts["verdicts"], margin=facts["margin"]),
        ("overall", "performance_profile"): draw_profile(facts["profile"], baseline=facts["baseline"]),
        ("curves", "expected_score"): draw_budgets(facts["curves"], baseline=facts["baseline"]),
    }
    for (_, name), one in drawn.items():
        if one is not None:
            paths += write_drawn(folder / name, one)
    return {place: one.svg for (place, _), one in drawn.items() if one is not None}


def table_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns lines as CSV; lists, such as the folders of runs, are left to JSON."""
    names = [name for name in dict.fromkeys(name for line in lines for name in line) if not _is_list(lines, name)]
    return csv_text(names, ([line.get(name) for name in names] for line in lines))


def _is_list(lines: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(isinstance(line.get(name), list) for line in lines)
