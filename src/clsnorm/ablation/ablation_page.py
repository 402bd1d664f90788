"""The page and the table of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clsnorm.ablation.effects import MEASURES
from clsnorm.ablation.interventions import INTERVENTIONS
from clsnorm.ablation.outlier_sets import DEFINITIONS
from clsnorm.ablation.random_sets import NULLS
from clsnorm.ablation.stored_ablations import AblationFolder
from clsnorm.pages import figure as plotting
from clsnorm.pages.numbers import UNDEFINED, number
from clsnorm.pages.rendering import write_html
from clsnorm.pages.spreadsheet import csv_text

TEMPLATE = "ablation/templates/ablation.html.jinja"
SHOWN = 12  # single dimensions
COLUMNS = (
    "split",
    "definitions",
    "dimensions",
    "ablation",
    "null",
    "measure",
    "effect",
    "mean",
    "sd",
    "percentile",
    "p",
)
NULL_FIGURE = "Loss increase of random sets of dimensions, and of the outliers"


def write_ablation_page(folder: AblationFolder, record: Mapping[str, Any], name: str) -> None:
    """Writes ``ablation.html``, with the figure inside.

    Args:
        folder: Of the study.
        record: Content of ``ablation.json``.
        name: Of the run.
    """
    run, chosen = record["run"], record["chosen"]
    write_html(
        folder.page,
        TEMPLATE,
        title=f"Outlier dimensions of {run['model']} on {run['data']}",
        subtitle=f"{name}: normalizer {run['normalizer']}, seed {run['seed']}, score {run['monitor']}",
        record=record,
        chosen=chosen and {**chosen, "text": listed(chosen["dimensions"])},
        figures=[(NULL_FIGURE, draw_nulls(record).svg)] if chosen else [],
        definitions=DEFINITIONS,
        interventions={n: one.meaning for n, one in INTERVENTIONS.items()},
        nulls=NULLS,
        measures=MEASURES,
        candidates=sorted(record["select"], key=lambda row: -(row["excess"] or 0.0)),
        places=[_place(side, place, found) for side, one in record["outliers"].items() for place, found in one.items()],
        sweep=record["sweep"]["after"][record["place"]],
        overlaps=_overlaps(record),
        single=_single(record),
        listed=listed,
        interval=interval,
        percent=percent,
    )


def listed(dimensions: list[int]) -> str:
    """Returns dimensions as text; – if there are none."""
    return ", ".join(map(str, dimensions)) or UNDEFINED


def interval(ends: list[float | None]) -> str:
    """Returns an interval as text."""
    return f"{number(ends[0])} to {number(ends[1])}"


def percent(share: float | None) -> str:
    """Returns a share in percent, with one decimal; – if it is undefined."""
    return UNDEFINED if share is None or math.isnan(share) else f"{100 * share:.1f}"


def as_table(record: Mapping[str, Any]) -> str:
    """Returns all effects and their nulls as CSV: those on ``select``, and the chosen one on ``report``."""
    rows = [
        _row("select", row, "size", measure, row["effect"][measure], row["null"][measure])
        for row in record["select"]
        for measure in MEASURES
    ]
    if record["report"]:
        report = record["report"]
        rows += [
            _row("report", record["chosen"], null, measure, report["effect"][measure], found["effects"][measure])
            for null, found in report["nulls"].items()
            for measure in MEASURES
        ]
    return csv_text(COLUMNS, rows)


def _row(split: str, pair: Any, null: str, measure: str, effect: Any, found: Mapping[str, Any]) -> list[object]:
    named = [" ".join(pair["definitions"]), " ".join(map(str, pair["dimensions"])), pair["ablation"]]
    return [split, *named, null, measure, effect, *(found[key] for key in ("mean", "sd", "percentile", "p"))]


def draw_nulls(record: Mapping[str, Any]) -> plotting.Drawn:
    """Draws the loss increases of the random sets on ``report``, one row for each kind, and that of the outliers."""
    report = record["report"]
    with plotting.figure(size=(6.4, 2.7)) as (drawing, axes):
        for place, found in enumerate(report["nulls"].values()):
            values = [value for value in found["draws"]["loss"] if value is not None]
            axes.scatter(values, [place] * len(values), s=14, alpha=0.25, linewidths=0, color=plotting.PALETTE[0])
        effect = report["effect"]["loss"]
        if effect is not None:
            axes.axvline(effect, color=plotting.PALETTE[1], label="outlier dimensions")
            axes.legend(loc="lower right")
        labels = [f"{kind} ({found['sets']})" for kind, found in report["nulls"].items()]
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.5, len(labels) - 0.5)
        axes.set_xlabel("increase of the mean loss on report")
        plotting.title(axes, f"Random sets of dimensions\nablation: {record['chosen']['ablation']}")
        return plotting.finish(drawing)


def _place(side: str, place: str, found: Mapping[str, list[int]]) -> dict[str, Any]:
    return {"side": side, "place": place, "sets": {name: listed(found[name]) for name in found}}


def _overlaps(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the overlaps at h, and those of sets that are not both empty."""
    found = record["overlap"]
    rows = [{"what": "definitions", "pair": f"{row['first']}, {row['second']}", **row} for row in found["definitions"]]
    rows += [
        {"what": row["definition"], "pair": f"before, after at {row['place']}", **row} for row in found["training"]
    ]
    rows += [{"what": row["definition"], "pair": f"{row['first']}, {row['second']}", **row} for row in found["layers"]]
    return [row for row in rows if row["jaccard"] is not None]


def _single(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the outliers and the dimensions that tell train's classes apart best."""
    found = record["single"]
    if found is None:
        return None
    best = sorted(range(len(found["train"])), key=lambda i: -found["train"][i])[:SHOWN]
    outliers = [int(i) for i in found["outliers"]]
    shown = [*outliers, *(i for i in best if i not in outliers)]
    rows = [
        {"dimension": i, "outlier": i in outliers, "train": found["train"][i], "other": found["other"][i]}
        for i in shown
    ]
    return {**found, "rows": sorted(rows, key=lambda row: -row["train"])}
