"""The page of an analysis: a model on a data set."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.analyze import figures
from clsnorm.analyze.comparison import MEASURES
from clsnorm.files import write_text
from clsnorm.model.places import last_layer
from clsnorm.pages.figure import Drawn
from clsnorm.statistics import CATALOGUE, Snapshot

TITLES = {  # what the paper's first claim is about, and what is nearest to it
    "centre/centred_share": "Share of the mean in the mean square",
    "energy/top_5": "Share of the 5 largest dimensions",
    "correlation/mean_absolute": "Mean absolute correlation of two dimensions",
    "spectrum/isoscore": "IsoScore",
    "cosine/average": "Mean cosine of two texts",
    "classes/fisher_ratio": "Variance between classes over within",
}
HEADLINES = tuple(TITLES)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 1080px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.sub, p.note { color: #666; margin-top: 0; } p.note { font-size: .9em; } .warn { color: #b2182b; }
code { font-size: .9em; }
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
    under = f"\n{record['model']} on {record['data']}, {record['rows']:,} training examples"
    for name in HEADLINES:
        lines, null, labels = _over_layers(record, name)
        if labels:
            title = TITLES[name] + under
            drawn[name.replace("/", "_")] = figures.draw_layers(lines, null, labels, unit=UNITS[name], title=title)
    for side, found in record["similarity"].items():
        if len(found["places"]) > 1:
            drawn[f"cka_{side}"] = _between_places(found, f"Likeness of the places, {side} fine-tuning" + under)
    sides = _drawable(sides)
    return drawn | (_of_last_layers(sides, under) if sides else {})


def _of_last_layers(sides: Sides, under: str) -> dict[str, Drawn]:
    last = {side: snapshots[last_layer(snapshots)] for side, snapshots in sides.items()}
    moments = {side: (s.moments.mean.cpu().numpy(), s.covariance.diagonal().sqrt().numpy()) for side, s in last.items()}
    correlations = {side: _correlation(s) for side, s in last.items()}
    chosen = _chosen(sides)
    count = next(iter(chosen.values())).count
    energies = {label: s.moments.mean_square.cpu().numpy() for label, s in chosen.items()}
    spectra = {label: s.eigenvalues.numpy() for label, s in chosen.items()}
    return {
        "dimensions": figures.draw_dimensions(moments, title="Mean and spread of each dimension, last layer" + under),
        "correlations": figures.draw_correlations(correlations, title="Correlations, last layer" + under),
        "energy": figures.draw_energy(energies, count=count, title="Share of the largest dimensions" + under),
        "spectrum": figures.draw_spectrum(spectra, count=count, title="Spectrum of the covariance" + under),
    }


def _between_places(found: dict[str, Any], title: str) -> Drawn:
    labels = [place_label(name) for name in found["places"]]
    values = np.array(found["cka"])
    return figures.draw_table(values, labels, labels, unit="unbiased linear CKA", title=title, across="place", low=0.0)


def _drawable(sides: Sides) -> dict[str, Mapping[str, Snapshot]]:
    """The sides whose rows are finite everywhere: those of a diverged run are not."""
    return {
        side: found for side, found in sides.items() if all(s.count >= 2 and not s.not_finite for s in found.values())
    }


def _chosen(sides: Sides) -> dict[str, Snapshot]:
    """A few places to compare: first, middle and last layer, or the last of each side.

    What stands before the first layer is one embedding for all texts, and has no spectrum.
    """
    if len(sides) > 1:
        return {side: snapshots[last_layer(snapshots)] for side, snapshots in sides.items()}
    snapshots = next(iter(sides.values()))
    layers = sorted(name for name in snapshots if name.startswith("layer"))[1:]
    picked = dict.fromkeys((layers[0], layers[len(layers) // 2], layers[-1]))
    return {f"layer {place_label(name)}": snapshots[name] for name in picked}


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
        lines[side] = [as_float(points[place][name]["value"]) for place in layers]
        nulls = [points[place][name]["null"] for place in layers]
        null = None if None in nulls else nulls
    return lines, null, [place_label(place) for place in layers]


def write_page(folder: Path, record: dict[str, Any], drawn: Mapping[str, Drawn]) -> None:
    """Writes ``analysis.html`` with the figures inside, and nothing to fetch."""
    title = f"[CLS] of {record['model']} on {record['data']}"
    text = document(
        title,
        f"{record['rows']:,} training examples, before fine-tuning"
        if len(record["sides"]) == 1
        else f"{record['rows']:,} training examples, before and after fine-tuning ({record['run']})",
        f'<p class="note">{html.escape(record["note"])}</p>'
        + "<p>Noise: what as many rows of independent normal dimensions of equal size, centred on zero, show; of "
        + "classes, what these rows show with labels at random. "
        + "All places and numbers stand in <code>analysis.csv</code>.</p>"
        + _faults(record)
        + '<div class="panels">'
        + "".join(f"<div>{figure.svg}</div>" for figure in drawn.values())
        + "</div>"
        + _changes(record)
        + _outliers(record)
        + "".join(_tables(record)),
    )
    write_text(folder / "analysis.html", text)


def _faults(record: dict[str, Any]) -> str:
    """Says where rows were not finite, which makes all numbers of the place undefined."""
    lines = [
        f'<p class="warn">{html.escape(place)}, {side}: {counts["not_finite"]:,} rows were not finite, so its numbers '
        "are undefined (–).</p>"
        for side, points in record["counts"].items()
        for place, counts in points.items()
        if counts["not_finite"]
    ]
    return "".join(lines)


def _changes(record: dict[str, Any]) -> str:
    """The table of what fine-tuning changed; nothing where there is one side."""
    if not record["changes"]:
        return ""
    head = "".join(
        f'<th title="{html.escape(says)}">{name.replace("/", "/<br>")}</th>' for name, says in MEASURES.items()
    )
    rows = [
        f"<tr><td>{html.escape(place)}</td>"
        + "".join(f'<td class="number">{number(values[name])}</td>' for name in MEASURES)
        + "</tr>"
        for place, values in sorted(record["changes"].items())
    ]
    says = "; ".join(f"<code>{name}</code>: {html.escape(text)}" for name, text in MEASURES.items())
    table = f"<table><tr><th>place</th>{head}</tr>{''.join(rows)}</table>"
    return f'<h2>What fine-tuning changed</h2>{table}<p class="note">{says}.</p>{_head(record["head"])}'


def _head(head: dict[str, Any] | None) -> str:
    """How near the head has come to the class means; nothing in regression."""
    if head is None:
        return ""
    return (
        f"<p>Head and class means at <code>{head['place']}</code> (NC3: 0 the same directions, 1.414 unrelated ones): "
        f"{number(head['nc3'])}.</p>"
    )


def _outliers(record: dict[str, Any]) -> str:
    """Which dimensions stand out in each layer, and in how many of them."""
    parts = ["<h2>Outlier dimensions</h2><p>Mean over three standard deviations off those of the others.</p>"]
    for side, found in record["outliers"].items():
        rows = [
            f"<tr><td>{html.escape(place)}</td><td>{', '.join(map(str, dimensions)) or '–'}</td></tr>"
            for place, dimensions in sorted(found["places"].items())
        ]
        often = ", ".join(f"{dimension} in {layers}" for dimension, layers in list(found["layers"].items())[:10])
        table = f"<table><tr><th>{side}</th><th>dimensions</th></tr>{''.join(rows)}</table>"
        parts.append(
            f"{table}<p>Layers in which a dimension stands out, the most persistent first: {often or '–'}.</p>"
        )
    return "".join(parts)


def _tables(record: dict[str, Any]) -> list[str]:
    parts = []
    for place in _shown_places(record):
        sides = {side: points[place] for side, points in record["sides"].items() if place in points}
        head = "".join(f"<th>{side}</th>" for side in sides)
        rows = [_statistic_row(name, sides) for name in next(iter(sides.values()))]
        head = f"<tr><th>statistic</th>{head}<th>noise</th><th>says</th></tr>"
        counts = [record["counts"][side][place] for side in sides]
        told = f"{counts[0]['rows']:,} finite rows, {counts[0]['sample']:,} of them in the sample"
        parts.append(f'<h2>{html.escape(place)}</h2><p class="sub">{told}</p><table>{head}{"".join(rows)}</table>')
    return parts


def _shown_places(record: dict[str, Any]) -> list[str]:
    """The last layer, and what comes after it; the others stand in ``analysis.csv``."""
    places = sorted({place for points in record["sides"].values() for place in points})
    layers = [place for place in places if place.startswith("layer")]
    return [layers[-1], *(place for place in places if not place.startswith("layer"))]


def _statistic_row(name: str, sides: Mapping[str, Mapping[str, Any]]) -> str:
    cells = "".join(f'<td class="number">{number(values[name]["value"])}</td>' for values in sides.values())
    null = ", ".join(dict.fromkeys(number(values[name]["null"]) for values in sides.values()))  # mostly one for all
    meaning = html.escape(MEANINGS[name])
    return f'<tr><td><code>{name}</code></td>{cells}<td class="number null">{null}</td><td>{meaning}</td></tr>'


def document(title: str, subtitle: str, body: str) -> str:
    """Returns a whole page that fetches nothing."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1><p class="sub">{html.escape(subtitle)}</p>
{body}
</body></html>
"""


def place_label(name: str) -> str:
    """Returns a place as a figure's axis shows it: a layer by its number, another by its name."""
    return str(int(name.removeprefix("layer"))) if name.startswith("layer") else name


def as_float(value: float | None) -> float:
    """Returns a number of ``analysis.json``, where what is undefined is null."""
    return math.nan if value is None else float(value)


def number(value: float | None) -> str:
    """Returns a number as a cell shows it: four digits, – where it is undefined."""
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else "∞"
    return f"{value:.4g}"
