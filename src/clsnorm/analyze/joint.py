"""The page that joins all analyses in a folder."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.analyze import figures
from clsnorm.analyze.page import HEADLINES, TITLES, UNITS, as_float, document, number, place_label
from clsnorm.files import write_text
from clsnorm.model.places import last_layer
from clsnorm.pages.figure import Drawn, write_drawn


def write_joint_page(folder: Path) -> Path | None:
    """Writes ``index.html`` over all analyses below ``folder`` and returns its path; None if there is none.

    Its heat maps of data sets by layers stand in ``figures``, too, as SVG, PNG and CSV files.
    """
    paths = sorted(folder.glob("*/analysis.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not records:
        return None
    body = [_joint_table(records, [path.parent.name for path in paths])]
    untuned = [record for record in records if not record["run"]]  # a run's "before" is a row of its own already
    groups = _by_layers(untuned)
    maps = [
        _HeatMap(group, name, _model(group[0], records))
        for name in HEADLINES
        for group in groups
        if all(name in _last(record) for record in group)
    ]
    drawn = [heat_map.write(folder / "figures") for heat_map in maps if heat_map.says_something]
    body.append('<div class="panels">' + "".join(f"<div>{figure.svg}</div>" for figure in drawn) + "</div>")
    notes = dict.fromkeys(record["note"] for record in records)
    body += [f'<p class="note">{html.escape(note)}</p>' for note in notes]
    path = folder / "index.html"
    write_text(path, document("[CLS] before fine-tuning", f"{len(records)} analyses, last layer", "".join(body)))
    return path


def _last(record: dict[str, Any], side: str = "before") -> dict[str, Any]:
    points: dict[str, Any] = record["sides"][side]
    values: dict[str, Any] = points[last_layer(points)]
    return values


def _joint_table(records: Sequence[dict[str, Any]], folders: Sequence[str]) -> str:
    """A row for each analysis; of a fine-tuned run one before and one after."""
    head = "".join(f"<th>{title}</th><th>noise</th>" for title in TITLES.values())
    rows = []
    for record, folder, side in [(r, f, side) for r, f in zip(records, folders, strict=True) for side in r["sides"]]:
        name = f"{record['data']}, {_model(record, records)}" + (f", {side} {record['run']}" if record["run"] else "")
        values = [_last(record, side).get(key, {"value": None, "null": None}) for key in HEADLINES]
        cells = "".join(
            f'<td class="number">{number(v["value"])}</td><td class="number null">{number(v["null"])}</td>'
            for v in values
        )
        link = f'<a href="{html.escape(folder)}/analysis.html">{html.escape(name)}</a>'
        rows.append(f'<tr><td>{link}</td><td class="number">{record["rows"]:,}</td>{cells}</tr>')
    return f"<table><tr><th></th><th>rows</th>{head}</tr>{''.join(rows)}</table>"


def _by_layers(records: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Groups of analyses with the same model, whose layers can stand in one table."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for record in records:
        layers = sum(place.startswith("layer") for place in record["sides"]["before"])
        groups.setdefault((record["model"], _path(record), layers), []).append(record)
    return list(groups.values())


def _path(record: dict[str, Any]) -> str:
    """Where the model came from; an analysis of an older version does not say."""
    return str(record.get("path", ""))


def _model(record: dict[str, Any], records: Sequence[dict[str, Any]]) -> str:
    """Name of a record's model; with the end of its path where an option, such as ``any``, stands for several."""
    paths = {_path(other) for other in records if other["model"] == record["model"]}
    return record["model"] + (f"-{Path(_path(record)).name}" if len(paths) > 1 else "")


class _HeatMap:
    """One number of analyses of one model, data sets by layers."""

    def __init__(self, records: Sequence[dict[str, Any]], name: str, model: str) -> None:
        self._places = sorted(place for place in records[0]["sides"]["before"] if place.startswith("layer"))
        self._name, self._model = name, model
        names = [record["data"] for record in records]
        sizes = [f" {record['rows']}" if names.count(record["data"]) > 1 else "" for record in records]
        self._data = [name + size for name, size in zip(names, sizes, strict=True)]
        points = [record["sides"]["before"] for record in records]
        self._values = np.array([[as_float(p[place][name]["value"]) for place in self._places] for p in points])

    @property
    def says_something(self) -> bool:
        return bool(np.isfinite(self._values).any())

    def write(self, folder: Path) -> Drawn:
        """Writes it in three forms, named by model, layers and number, and returns what is drawn."""
        title = f"{TITLES[self._name]}\n{self._model}, before fine-tuning"
        labels = [place_label(place) for place in self._places]
        drawn = figures.draw_table(self._values, self._data, labels, unit=UNITS[self._name], title=title)
        lines = [["data", *self._places]]
        lines += [[data, *map(repr, row)] for data, row in zip(self._data, self._values.tolist(), strict=True)]
        name = f"{self._model}_{len(labels) - 1}_layers_{self._name.replace('/', '_')}"
        write_drawn(folder / name, drawn)
        write_text(folder / f"{name}.csv", "".join(",".join(line) + "\n" for line in lines))
        return drawn
