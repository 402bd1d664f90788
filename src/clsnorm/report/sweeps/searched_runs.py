"""Runs at values that a search has chosen, with seeds that it has not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.report.sweeps.run_row import RunRow
from clsnorm.sweep.search_record import read_searches


def mark_searched(rows: Sequence[RunRow]) -> None:
    """Sets ``search`` of each run that followed a search, in the folders of the sweeps.

    Only runs that a search lists as final are marked, once it has used up its budget. Its trials are not: the best of
    several scores on the seeds that chose it is too good.
    """
    by_path = {row.path: row for row in rows}
    for folder in {row.path.parent for row in rows}:
        for record in read_searches(folder):
            if record.get("chosen") is not None:
                for name in record.get("final", []):
                    if row := by_path.get(folder / str(name)):
                        row.search = _described(record)


def _described(record: Mapping[str, Any]) -> str:
    """Returns what must be equal for two searches to be a fair comparison."""
    space = ", ".join(f"{key} in {values}" for key, values in sorted(record["space"].items()))
    return f"{record['budget']} trials of {space}, each with {', '.join(map(str, record['seeds']))}"


def after_search(rows: Sequence[RunRow], baseline: str) -> list[RunRow]:
    """Returns the runs that followed searches like the baseline's; none if no search has chosen the baseline's rate."""
    searches = {row.search for row in rows if row.arm == baseline and row.search}
    return [row for row in rows if row.search in searches] if len(searches) == 1 else []
