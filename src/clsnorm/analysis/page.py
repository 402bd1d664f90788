"""The pages of the analysis: one of a model on a data set, and one that joins all in a folder."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.analysis import figures
from clsnorm.files import write_text
from clsnorm.plotting import Drawn
from clsnorm.statistics import CATALOGUE, Snapshot

HEADLINES = (  # what the paper's first claim is about, and what is nearest to it
    "centre/centred_share",
    "energy/top_5",
    "correlation/mean_absolute",
    "spectrum/isoscore",
    "cosine/average",
    "classes/fisher_ratio",
)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 1080px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.sub, p.note { color: #666; margin-top: 0; } p.note { font-size: .9em; } code { font-size: .9em; }
table { border-collapse: collapse; font-size: .93em; } td, th { padding: .15rem .9rem .15rem 0; text-align: left;
  vertical-align: top; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr { border-bottom: 1px solid #eee; } td.null { color: #888; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem; }
.panels svg { width: 100%; height: auto; }
"""
UNITS = {statistic.name: statistic.unit for statistic in CATALOGUE}
MEANINGS = {statistic.name: statistic.meaning for statistic in CATALOGUE}
Sides = Mapping[str, Mapping[str, Snapshot]]


def draw_figures(sides: Sides, record: dict[str, Any]) -> dict[str, Drawn]:
    """Returns the figures of an analysis by name.

    Args:
        sides: Snapshots by side (``before``, and ``after`` for a fine-tuned run) and place.
        record: What ``analysis.json`` holds.
    """
    drawn = {}
    for name in HEADLINES:
        lines, null, labels = _over_layers(record, name)
        if labels:
            title = name.replace("/", ": ").replace("_", " ").capitalize()
            drawn[name.replace("/", "_")] = figures.draw_layers(lines, null, labels, unit=UNITS[name], title=title)
    for side, snapshots in sides.items():
        last = _last_layer(snapshots)
        suffix = "" if len(sides) == 1 else f", {side}"
        s = snapshots[last]
        mean, std = s.moments.mean.cpu().numpy(), s.moments.variance.cpu().sqrt().numpy()
        drawn[f"dimensions_{side}"] = figures.draw_dimensions(mean, std, title=f"Dimensions of {last}{suffix}")
        drawn[f"correlations_{side}"] = figures.draw_correlations(_correlation(s), title=f"Correlations{suffix}")
    chosen = _chosen(sides)
    count = next(iter(chosen.values())).count
    energies = {label: s.moments.mean_square.cpu().numpy() for label, s in chosen.items()}
    drawn["energy"] = figures.draw_energy(energies, count=count, title="Energy, largest dimensions first")
    spectra = {label: s.eigenvalues.numpy() for label, s in chosen.items()}
    drawn["spectrum"] = figures.draw_spectrum(spectra, count=count, title="Spectrum of the covariance")
    return drawn


def _last_layer(snapshots: Mapping[str, Snapshot]) -> str:
    return max(name for name in snapshots if name.startswith("layer"))


def _chosen(sides: Sides) -> dict[str, Snapshot]:
    """A few places to compare: first, middle and last layer, or the last of each side.

    What stands before the first layer is one embedding for all texts, and has no spectrum.
    """
    if len(sides) > 1:
        return {side: snapshots[_last_layer(snapshots)] for side, snapshots in sides.items()}
    snapshots = next(iter(sides.values()))
    layers = sorted(name for name in snapshots if name.startswith("layer"))[1:]
    picked = dict.fromkeys((layers[0], layers[len(layers) // 2], layers[-1]))
    return {name: snapshots[name] for name in picked}


def _correlation(snapshot: Snapshot) -> np.ndarray:
    covariance = snapshot.covariance.numpy()
    spread = np.sqrt(np.diag(covariance))
    safe = np.where(spread > 0, spread, 1.0)
    return np.asarray(covariance / np.outer(safe, safe))


def _over_layers(record: dict[str, Any], name: str) -> tuple[dict[str, list[float]], list[float] | None, list[str]]:
    """Lines of one statistic over layers, one a side, and its null where there is one."""
    lines: dict[str, list[float]] = {}
    null, layers = None, []
    for side, points in record["sides"].items():
        layers = [place for place in sorted(points) if place.startswith("layer") and name in points[place]]
        lines[side] = [_float(points[place][name]["value"]) for place in layers]
        nulls = [points[place][name]["null"] for place in layers]
        null = None if None in nulls else nulls
    return lines, null, [place.removeprefix("layer") for place in layers]


def write_page(folder: Path, record: dict[str, Any], drawn: Mapping[str, Drawn]) -> None:
    """Writes ``analysis.html`` with the figures inside, and nothing to fetch."""
    title = f"[CLS] of {record['model']} on {record['data']}"
    text = _document(
        title,
        f"{record['rows']:,} training examples, before fine-tuning"
        if len(record["sides"]) == 1
        else f"{record['rows']:,} training examples, before and after fine-tuning ({record['run']})",
        f'<p class="note">{html.escape(record["note"])}</p>'
        + "<p>Noise: what as many rows of independent normal dimensions of equal size, centred on zero, show.</p>"
        + '<div class="panels">'
        + "".join(f"<div>{figure.svg}</div>" for figure in drawn.values())
        + "</div>"
        + "".join(_tables(record)),
    )
    write_text(folder / "analysis.html", text)


def _tables(record: dict[str, Any]) -> list[str]:
    parts = []
    for place in _shown_places(record):
        sides = {side: points[place] for side, points in record["sides"].items() if place in points}
        head = "".join(f"<th>{side}</th>" for side in sides)
        rows = [_statistic_row(name, sides) for name in next(iter(sides.values()))]
        head = f"<tr><th>statistic</th>{head}<th>noise</th><th>says</th></tr>"
        parts.append(f"<h2>{html.escape(place)}</h2><table>{head}{''.join(rows)}</table>")
    return parts


def _shown_places(record: dict[str, Any]) -> list[str]:
    """The last layer, and what comes after it; the others stand in ``analysis.csv``."""
    places = sorted({place for points in record["sides"].values() for place in points})
    layers = [place for place in places if place.startswith("layer")]
    return [layers[-1], *(place for place in places if not place.startswith("layer"))]


def _statistic_row(name: str, sides: Mapping[str, Mapping[str, Any]]) -> str:
    cells = "".join(f'<td class="number">{_number(values[name]["value"])}</td>' for values in sides.values())
    null = _number(next(iter(sides.values()))[name]["null"])
    meaning = html.escape(MEANINGS[name])
    return f'<tr><td><code>{name}</code></td>{cells}<td class="number null">{null}</td><td>{meaning}</td></tr>'


def write_joint_page(folder: Path) -> Path | None:
    """Writes ``index.html`` over all analyses below ``folder`` and returns its path; None if there is none."""
    paths = sorted(folder.glob("*/analysis.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not records:
        return None
    names = [f"{record['data']}, {record['model']}" for record in records]
    body = [_joint_table(records, [path.parent.name for path in paths], names)]
    drawn = [
        _heat_map(group, name)
        for name in HEADLINES[:2]
        for group in _by_layers(records)
        if all(name in _last(record) for record in group)
    ]
    body.append('<div class="panels">' + "".join(f"<div>{figure.svg}</div>" for figure in drawn) + "</div>")
    notes = dict.fromkeys(record["note"] for record in records)
    body += [f'<p class="note">{html.escape(note)}</p>' for note in notes]
    path = folder / "index.html"
    write_text(path, _document("[CLS] before fine-tuning", f"{len(records)} analyses, last layer", "".join(body)))
    return path


def _last(record: dict[str, Any]) -> dict[str, Any]:
    points: dict[str, Any] = record["sides"]["before"]
    values: dict[str, Any] = points[max(place for place in points if place.startswith("layer"))]
    return values


def _joint_table(records: Sequence[dict[str, Any]], folders: Sequence[str], names: Sequence[str]) -> str:
    head = "".join(f"<th>{name.replace('/', ' ').replace('_', ' ')}</th><th>noise</th>" for name in HEADLINES)
    rows = []
    for record, folder, name in zip(records, folders, names, strict=True):
        values = [_last(record).get(key, {"value": None, "null": None}) for key in HEADLINES]
        cells = "".join(
            f'<td class="number">{_number(v["value"])}</td><td class="number null">{_number(v["null"])}</td>'
            for v in values
        )
        link = f'<a href="{html.escape(folder)}/analysis.html">{html.escape(name)}</a>'
        rows.append(f'<tr><td>{link}</td><td class="number">{record["rows"]:,}</td>{cells}</tr>')
    return f"<table><tr><th></th><th>rows</th>{head}</tr>{''.join(rows)}</table>"


def _by_layers(records: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Groups of analyses with the same model, whose layers can stand in one table."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["model"], len(record["sides"]["before"])), []).append(record)
    return list(groups.values())


def _heat_map(records: Sequence[dict[str, Any]], name: str) -> Drawn:
    layers = sorted(place for place in records[0]["sides"]["before"] if place.startswith("layer"))
    values = [[_float(record["sides"]["before"][place][name]["value"]) for place in layers] for record in records]
    title = f"{records[0]['model']}: {name.replace('/', ' ').replace('_', ' ')}"
    labels = [place.removeprefix("layer") for place in layers]
    return figures.draw_table(
        np.array(values), [record["data"] for record in records], labels, unit=UNITS[name], title=title
    )


def _document(title: str, subtitle: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1><p class="sub">{html.escape(subtitle)}</p>
{body}
</body></html>
"""


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else "∞"
    return f"{value:.4g}"
