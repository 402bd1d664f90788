"""The page of one analysis: a model on a data set."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from clsnorm.analyze.comparison import MEASURES
from clsnorm.analyze.headlines import MEANINGS
from clsnorm.dashboard.null_text import chance_text, null_text, verdict
from clsnorm.pages.figure import Drawn
from clsnorm.pages.rendering import write_html

TEMPLATE = "analyze/templates/analysis.html.jinja"


def write_page(folder: Path, record: dict[str, Any], drawn: Mapping[str, Drawn]) -> None:
    """Writes ``analysis.html``, with the figures inside.

    Args:
        folder: Of the analysis.
        record: Content of ``analysis.json``.
        drawn: Figures by name.
    """
    tuned = f"before and after fine-tuning ({record['run']})" if record["run"] else "before fine-tuning"
    write_html(
        folder / "analysis.html",
        TEMPLATE,
        title=f"[CLS] of {record['model']} on {record['data']}",
        subtitle=f"{record['rows']:,} training examples, {tuned}",
        note=record["note"],
        faults=_faults(record),
        figures=[(figure.title, figure.svg) for figure in drawn.values()],
        measures=MEASURES,
        changes=sorted(record["changes"].items()),
        head=record["head"],
        outliers=[_outliers(side, found) for side, found in record["outliers"].items()],
        tables=[_table(record, place) for place in _shown_places(record)],
    )


def _faults(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the places with rows that are not finite: all their statistics are undefined."""
    return [
        {"place": place, "side": side, "rows": counts["not_finite"]}
        for side, points in record["counts"].items()
        for place, counts in points.items()
        if counts["not_finite"]
    ]


def _outliers(side: str, found: dict[str, Any]) -> dict[str, Any]:
    """Returns the outlier dimensions of each place, and the ten that most layers share."""
    places = [(place, ", ".join(map(str, dimensions))) for place, dimensions in sorted(found["places"].items())]
    often = ", ".join(f"{dimension} in {layers}" for dimension, layers in islice(found["layers"].items(), 10))
    return {"side": side, "places": places, "often": often}


def _shown_places(record: dict[str, Any]) -> list[str]:
    """Returns the last layer and the places after it; ``analysis.csv`` has the others."""
    places = sorted({place for points in record["sides"].values() for place in points})
    layers = [place for place in places if place.startswith("layer")]
    return [layers[-1], *(place for place in places if not place.startswith("layer"))]


def _table(record: dict[str, Any], place: str) -> dict[str, Any]:
    sides = {side: points[place] for side, points in record["sides"].items() if place in points}
    counts = record["counts"][next(iter(sides))][place]
    rows = [_statistic(name, list(sides.values())) for name in next(iter(sides.values()))]
    return {"place": place, "sides": list(sides), "rows": rows, "counts": counts}


def _statistic(name: str, sides: list[Mapping[str, Any]]) -> dict[str, Any]:
    found = [values[name] for values in sides]
    nulls = dict.fromkeys(null_text(pair) for pair in found)  # usually the same for both sides
    pairs = [{"value": pair["value"], "verdict": verdict(pair), "chance": chance_text(pair)} for pair in found]
    return {"name": name, "pairs": pairs, "null": "; ".join(nulls), "meaning": MEANINGS[name]}
