"""``probes.csv``: every number of a study, one a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clsnorm.pages.spreadsheet import csv_text

COLUMNS = ("place", "arm", "probe", "measure", "value")
SECTIONS = ("report", "select", "certificate")


def probe_csv(record: dict[str, Any]) -> str:
    """Returns the numbers of ``probes.json`` as CSV text with the `COLUMNS`."""
    return csv_text(COLUMNS, _numbers(record))


def _numbers(record: dict[str, Any]) -> Iterator[list[Any]]:
    for place, study in record["places"].items():
        for arm, found in study["arms"].items():
            for probe, outcome in found["probes"].items():
                for section in SECTIONS:
                    for name, value in (outcome.get(section) or {}).items():
                        yield [place, arm, probe, f"{section}/{name}", value]
                if "value" in outcome:
                    yield [place, arm, probe, outcome["option"], outcome["value"]]
        for section in ("paired", "leak"):
            for probe, arms in study[section].items():
                for arm, values in arms.items():
                    for name, value in values.items():
                        yield [place, arm, probe, f"{section}/{name}", value]
        for probe, arms in study["law"].items():
            for arm, value in arms.items():
                yield [place, arm, probe, "law/largest_log_probability_difference", value]
