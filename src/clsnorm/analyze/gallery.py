"""The figures of one analysis: which numbers, layers and sides are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clsnorm.analyze import drawings
from clsnorm.analyze.headlines import HEADLINES, TITLES, UNITS, place_label
from clsnorm.model.places import last_layer
from clsnorm.pages.figure import Drawn
from clsnorm.pages.numbers import as_float
from clsnorm.statistics import Snapshot

Sides = Mapping[str, Mapping[str, Snapshot]]


def draw_figures(sides: Sides, record: dict[str, Any]) -> dict[str, Drawn]:
    """Returns the figures of an analysis by name.

    Args:
        sides: Snapshots by side (``before``, and ``after`` for a fine-tuned run) and place.
        record: Content of ``analysis.json``.
    """
    drawn = {}
    subtitle = f"\n{record['model']} on {record['data']}, {record['rows']:,} training examples"
    for name in HEADLINES:
        lines, noise, labels = _over_layers(record, name)
        if labels:
            title = TITLES[name] + subtitle
            drawn[name.replace("/", "_")] = drawings.draw_layers(lines, noise, labels, unit=UNITS[name], title=title)
    for side, found in record["similarity"].items():
        if len(found["places"]) > 1:
            drawn[f"cka_{side}"] = _between_places(found, f"Similarity of places, {side} fine-tuning" + subtitle)
    sides = _finite(sides)
    return drawn | (_of_last_layers(sides, subtitle) if sides else {})


def _of_last_layers(sides: Sides, subtitle: str) -> dict[str, Drawn]:
    last = {side: snapshots[last_layer(snapshots)] for side, snapshots in sides.items()}
    moments = {side: (s.moments.mean.cpu().numpy(), s.covariance.diagonal().sqrt().numpy()) for side, s in last.items()}
    correlations = {side: _correlation(s) for side, s in last.items()}
    chosen = _chosen(sides)
    count = next(iter(chosen.values())).count
    energies = {label: s.moments.mean_square.cpu().numpy() for label, s in chosen.items()}
    spectra = {label: s.eigenvalues.numpy() for label, s in chosen.items()}
    return {
        "dimensions": drawings.draw_dimensions(
            moments, title="Mean and spread of each dimension, last layer" + subtitle
        ),
        "correlations": drawings.draw_correlations(correlations, title="Correlations, last layer" + subtitle),
        "energy": drawings.draw_energy(energies, count=count, title="Share of the largest dimensions" + subtitle),
        "spectrum": drawings.draw_spectrum(spectra, count=count, title="Spectrum of the covariance" + subtitle),
    }


def _between_places(found: dict[str, Any], title: str) -> Drawn:
    labels = [place_label(name) for name in found["places"]]
    values = np.array(found["cka"])
    return drawings.draw_table(
        values, labels, labels, unit="linear CKA by unbiased HSIC", title=title, across="place", low=0.0
    )


def _finite(sides: Sides) -> dict[str, Mapping[str, Snapshot]]:
    """Returns the sides whose rows are finite at every place; those of a diverged run are not."""
    return {
        side: found for side, found in sides.items() if all(s.count >= 2 and not s.not_finite for s in found.values())
    }


def _chosen(sides: Sides) -> dict[str, Snapshot]:
    """Returns the places to compare: first, middle and last layer; with two sides, the last layer of each.

    ``layer00`` is one embedding for all texts and has no spectrum.
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


def _over_layers(record: dict[str, Any], name: str) -> tuple[dict[str, list[float]], np.ndarray, list[str]]:
    """Returns one statistic over layers, a line for each side; the mean and the ends of its null, and the layers."""
    lines: dict[str, list[float]] = {}
    noise, layers = np.empty((3, 0)), []
    for side, points in record["sides"].items():
        layers = [place for place in sorted(points) if place.startswith("layer") and name in points[place]]
        lines[side] = [as_float(points[place][name]["value"]) for place in layers]
        parts = ("null", "null_low", "null_high")
        noise = np.array([[as_float(points[place][name].get(part)) for place in layers] for part in parts])
    return lines, noise, [place_label(place) for place in layers]
