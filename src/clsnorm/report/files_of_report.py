"""The files of a report: Markdown, JSON and CSV with the same numbers. The same runs give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clsnorm.files import write_text
from clsnorm.pages.spreadsheet import csv_text
from clsnorm.report.markdown import document

TABLES = ("verdicts", "equal_rates", "arms")


def write_report(folder: Path, facts: Mapping[str, Any]) -> list[Path]:
    """Writes all files and returns their paths.

    Args:
        folder: Created if it does not exist.
        facts: Of `clsnorm.report.collected_facts.collected`.

    Raises:
        DiskError: If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.md": document(facts), "report.json": json.dumps(facts, indent=1, ensure_ascii=False) + "\n"}
    texts |= {f"{name}.csv": table_text(facts[name]) for name in TABLES if facts[name]}
    paths = []
    for name, text in texts.items():
        write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def table_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns lines as CSV; lists, such as the folders of runs, are left to JSON."""
    names = [name for name in dict.fromkeys(name for line in lines for name in line) if not _is_list(lines, name)]
    return csv_text(names, ([line.get(name) for name in names] for line in lines))


def _is_list(lines: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(isinstance(line.get(name), list) for line in lines)
