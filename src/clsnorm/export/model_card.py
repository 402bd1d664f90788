"""The README of an exported model, by what the run recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clsnorm.failure import jackknife_error
from clsnorm.pages.rendering import render
from clsnorm.report.inference.binomials import Z95, wilson

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.experiment.loaded import LoadedRun
    from clsnorm.experiment.prediction import Prediction

Score = dict[str, Any]


def scores(data: DataModule, prediction: Prediction) -> list[Score]:
    """Returns the metrics on the report split, each with a 95 % interval over its rows.

    Of a share of correct rows Wilson's, else 1.96 standard errors of the jackknife; the seed is not part of it.
    """
    labels = torch.from_numpy(np.array(data.labels_of("report")))
    found = prediction.values if prediction.probabilities is None else prediction.probabilities
    numbers = torch.from_numpy(np.asarray(found))
    return [_score(name, metric, numbers, labels) for name, metric in data.metrics.items()]


def _score(name: str, metric: Any, numbers: torch.Tensor, labels: torch.Tensor) -> Score:
    metric = metric.clone().cpu()
    value = float(metric(numbers, labels))
    hits = float((numbers.argmax(-1) == labels).double().mean()) if numbers.ndim == 2 else math.nan
    if math.isclose(value, hits, abs_tol=1e-6):
        low, high = wilson(hits, len(labels))
    else:
        error = Z95 * jackknife_error(metric, numbers, labels)
        low, high = value - error, value + error
    return {"name": name, "value": value, "low": low, "high": high}


def model_card(run: LoadedRun, found: list[Score], record: Mapping[str, Any]) -> str:
    """Returns the card: YAML that the hub reads, then text.

    Args:
        run: The run.
        found: What `scores` returned.
        record: The content of ``export.json``.
    """
    results, config = run.results, run.config
    source = results.get("source", {})
    about = {"citation": "", "licence": "", **(source.get("about") or {})}
    path = config["model"]["path"]
    base = path if "/" in path and not path.startswith(("/", ".", "~", "wheel:")) else None
    return render(
        "export/templates/card.md.jinja",
        run=record["run"],
        data=results["data"],
        classes=run.predictor.classes,
        pairs=bool(run.predictor.pairs),
        about=about,
        rows=source.get("rows", {}),
        digest=source.get("sha256"),
        base=base,
        model=results["model"],
        path=path if base or path.startswith("wheel:") else None,
        normalizer=results["normalizer"],
        options={k: v for k, v in config["normalizer"].items() if not k.startswith("_")},
        seeds=results.get("seeds", {}),
        scores=[score for score in found if math.isfinite(score["value"])],
        record=record,
        max_length=config["data"]["max_length"],
        license=record["license"],
    )
