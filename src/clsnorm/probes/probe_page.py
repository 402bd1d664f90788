"""The page of one study: arms by probes, and what is beyond noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.pages.numbers import number
from clsnorm.pages.rendering import write_html
from clsnorm.probes.logistic_regression import CONVERGED, SEPARABLE

TEMPLATE = "probes/templates/probes.html.jinja"
SIGNIFICANT = 0.05  # of a p value adjusted for the number of arms


def write_probe_page(folder: Path, record: dict[str, Any]) -> None:
    """Writes ``probes.html``.

    Args:
        folder: Of the study.
        record: Content of ``probes.json``.
    """
    rows = record["rows"]
    write_html(
        folder / "probes.html",
        TEMPLATE,
        title=f"Probes of frozen [CLS]: {record['model']} on {record['data']}",
        subtitle=f"{rows['train']:,} training rows, {rows['report']:,} report rows",
        note=record["note"],
        majority=record["majority"],
        options=record["options"],
        laws=record["laws"],
        measure="accuracy" if record["classes"] else "r2",
        places=[_place(place, study, record) for place, study in record["places"].items()],
    )


def _place(place: str, study: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    reference = next(iter(study["arms"]))
    probes = list(study["arms"][reference]["probes"])
    measure = "accuracy" if record["classes"] else "r2"
    return {
        "place": place,
        "reference": reference,
        "probes": probes,
        "rows": [
            {"arm": arm, "cells": [_cell(study, arm, probe, measure) for probe in probes]} for arm in study["arms"]
        ],
        "leaks": _leaks(study),
        "law": _law(study),
        "faults": _faults(study),
        "left_out": study["left_out"],
    }


def _cell(study: dict[str, Any], arm: str, probe: str, measure: str) -> dict[str, Any]:
    outcome = study["arms"][arm]["probes"][probe]
    found = study["paired"][probe].get(arm)
    return {
        "score": outcome["report"][measure],
        "beyond": bool(found) and is_beyond_noise(found),
        "title": _title(found),
    }


def is_beyond_noise(found: Mapping[str, Any]) -> bool:
    """Returns whether a paired difference is beyond noise.

    With an exact test: its p value, adjusted for the number of arms, is below 0.05. Without: the interval leaves out 0.
    """
    if found.get("p_holm") is not None:
        return bool(found["p_holm"] < SIGNIFICANT)
    return bool(found["low"] > 0 or found["high"] < 0)


def _title(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    p = "" if found.get("p_holm") is None else f", p {number(found['p'])}, adjusted {number(found['p_holm'])}"
    return f"{number(found['difference'])}, 95 % from {number(found['low'])} to {number(found['high'])}{p}"


def _leaks(study: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "probe": probe, **{key: found[key] for key in ("difference", "low", "high", "p")}}
        for probe, arms in study["leak"].items()
        for arm, found in arms.items()
    ]


def _law(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns for each probe that cannot change: the arms compared, the largest difference, and the arms without."""
    found = []
    for probe, arms in study["law"].items():
        known = {arm: value for arm, value in arms.items() if value is not None}
        largest = max(known.values(), default=None)
        found.append({"probe": probe, "arms": len(known), "silent": len(arms) - len(known), "largest": largest})
    return found


def _faults(study: dict[str, Any]) -> list[str]:
    """Returns a line for each fit without a certificate."""
    lines = []
    for arm, found in study["arms"].items():
        for probe, outcome in found["probes"].items():
            certificate = outcome.get("certificate")
            if certificate and certificate["verdict"] == SEPARABLE:
                lines.append(f"{probe} of {arm} has no optimum: a class can be separated from all others.")
            elif certificate and certificate["verdict"] != CONVERGED:
                lines.append(f"{probe} of {arm} is not proven to be at its optimum: gap {number(certificate['gap'])}.")
            if outcome.get("unconverged_in_folds"):
                lines.append(f"{probe} of {arm}: {outcome['unconverged_in_folds']} fits in folds did not converge.")
    return lines
