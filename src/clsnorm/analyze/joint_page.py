"""The page that joins all analyses in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.analyze import drawings
from clsnorm.analyze.headlines import HEADLINES, TITLES, UNITS, place_label
from clsnorm.analyze.stored_analyses import Record, read_analyses
from clsnorm.dashboard.null_text import null_text, verdict
from clsnorm.files import digest, drafting_in, write_text
from clsnorm.model.places import last_layer
from clsnorm.pages.figure import Drawn, write_drawn
from clsnorm.pages.numbers import as_float
from clsnorm.pages.rendering import write_html
from clsnorm.pages.spreadsheet import csv_text, file_name

TEMPLATE = "analyze/templates/joint.html.jinja"


def update_joint_page(analysis: Path) -> None:
    """Rewrites the page until it covers all analyses next to ``analysis``, since others may finish meanwhile.

    The page contains a digest of its analyses and is written after its figures. So if the digest matches, nothing is
    left to do.

    Args:
        analysis: Folder of an analysis that this process has claimed.
    """
    folder = analysis.parent
    page = folder / "index.html"
    while paths := _analyses(folder):
        if page.exists() and _digest(paths) in page.read_text(encoding="utf-8"):
            return
        with drafting_in(analysis):
            if write_joint_page(folder) is None:
                return


def _analyses(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/analysis.json") if path.is_file())


def _digest(paths: Sequence[Path]) -> str:
    """Returns the sha256 of analyses and of the names of their folders."""
    return hashlib.sha256(repr([(path.parent.name, digest(path)) for path in paths]).encode()).hexdigest()


def write_joint_page(folder: Path) -> Path | None:
    """Writes ``index.html`` over all analyses below ``folder`` and returns its path; None if there is none.

    Its heat maps of data sets by layers are also written to ``figures``, as SVG, PNG and CSV files. Analyses that
    cannot be read are left out, with a warning.
    """
    stamp = _digest(_analyses(folder))
    found = read_analyses(folder)
    records = list(found.values())
    if not records:
        return None
    drawn = [heat_map.write(folder / "figures") for heat_map in _heat_maps(records)]
    return write_html(
        folder / "index.html",
        TEMPLATE,
        title="[CLS] before fine-tuning",
        subtitle=f"{len(records)} {'analysis' if len(records) == 1 else 'analyses'}, last layer",
        titles=list(TITLES.values()),
        rows=_rows(records, list(found)),
        figures=[(figure.title, figure.svg) for figure in drawn],
        notes=list(dict.fromkeys(record["note"] for record in records)),
        digest=stamp,
    )


def _rows(records: Sequence[Record], folders: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row for each analysis; for a fine-tuned run, one before and one after."""
    rows = []
    for record, folder in zip(records, folders, strict=True):
        for side in record["sides"]:
            tuned = f", {side} {record['run']}" if record["run"] else ""
            name = f"{record['data']}, {_model(record, records)}{tuned}"
            found = [_last(record, side).get(key, {"value": None, "null": None}) for key in HEADLINES]
            pairs = [{"value": f["value"], "null": null_text(f), "verdict": verdict(f)} for f in found]
            rows.append({"folder": folder, "name": name, "examples": record["rows"], "pairs": pairs})
    return rows


def _last(record: Record, side: str = "before") -> dict[str, Any]:
    """Returns the statistics of the last layer."""
    points: dict[str, Any] = record["sides"][side]
    values: dict[str, Any] = points[last_layer(points)]
    return values


def _path(record: Record) -> str:
    """Returns the path of the model; analyses of older versions do not record it."""
    return str(record.get("path", ""))


def _model(record: Record, records: Sequence[Record]) -> str:
    """Returns the name of a model, plus the end of its path if an option such as ``any`` covers several models."""
    paths = {_path(other) for other in records if other["model"] == record["model"]}
    return record["model"] + (f"-{Path(_path(record)).name}" if len(paths) > 1 else "")


def _heat_maps(records: Sequence[Record]) -> list[_HeatMap]:
    """Returns a heat map for each headline and model, if any of its values is finite."""
    untuned = [record for record in records if not record["run"]]  # "before" of a run repeats one of these
    maps = [
        _HeatMap(group, name, _model(group[0], records))
        for name in HEADLINES
        for group in _by_layers(untuned)
        if all(name in _last(record) for record in group)
    ]
    return [heat_map for heat_map in maps if heat_map.has_values]


def _by_layers(records: Sequence[Record]) -> list[list[Record]]:
    """Groups analyses by model and layers: those of a group fit into one table."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Record]] = {}
    for record in records:
        layers = tuple(sorted(place for place in record["sides"]["before"] if place.startswith("layer")))
        groups.setdefault((record["model"], _path(record), layers), []).append(record)
    return list(groups.values())


class _HeatMap:
    """One statistic in the analyses of one model, data sets by layers."""

    def __init__(self, records: Sequence[Record], name: str, model: str) -> None:
        self._places = sorted(place for place in records[0]["sides"]["before"] if place.startswith("layer"))
        self._name, self._model = name, model
        names = [record["data"] for record in records]
        sizes = [f" {record['rows']}" if names.count(record["data"]) > 1 else "" for record in records]
        self._data = [name + size for name, size in zip(names, sizes, strict=True)]
        points = [record["sides"]["before"] for record in records]
        self._values = np.array(
            [[as_float(p[place].get(name, {}).get("value")) for place in self._places] for p in points]
        )

    @property
    def has_values(self) -> bool:
        return bool(np.isfinite(self._values).any())

    def write(self, folder: Path) -> Drawn:
        """Writes SVG, PNG and CSV files, named by model, layers and statistic, and returns the figure."""
        title = f"{TITLES[self._name]}\n{self._model}, before fine-tuning"
        labels = [place_label(place) for place in self._places]
        drawn = drawings.draw_table(self._values, self._data, labels, unit=UNITS[self._name], title=title)
        name = f"{file_name(self._model)}_{len(labels) - 1}_layers_{self._name.replace('/', '_')}"
        write_drawn(folder / name, drawn)
        rows = [[data, *row] for data, row in zip(self._data, self._values.tolist(), strict=True)]
        write_text(folder / f"{name}.csv", csv_text(["data", *self._places], rows))
        return drawn
