"""One analysis, from configuration to its folder."""

from __future__ import annotations

import csv
import io
import logging
import math
from pathlib import Path
from typing import Any

import torch

from clsnorm import distributed
from clsnorm.analyze.collect import Snapshots, collect
from clsnorm.analyze.comparison import between_places, compare, nc3, outlier_dimensions
from clsnorm.analyze.joint import write_joint_page
from clsnorm.analyze.page import draw_figures, write_page
from clsnorm.experiment.assembly import build_classifier, build_data
from clsnorm.experiment.loaded import load_run
from clsnorm.files import replacing, write_json, write_text
from clsnorm.model import Classifier, has_pooler
from clsnorm.model.places import head_input
from clsnorm.pages.figure import write_drawn
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.statistics import Snapshot, describe

log = logging.getLogger(__name__)
IDENTITY = {
    "normalizer": {"_target_": "clsnorm.normalizers.Identity", "_partial_": True},
    "classifier": {"_target_": "clsnorm.model.Classifier", "_partial_": True},
}


class AnalysisFolder(RunFolder):
    """A folder of one analysis: claimed, refused and resumed as a run's is; finished by ``analysis.json``."""

    @property
    def results(self) -> Path:
        return self.path / "analysis.json"


def execute(config: dict[str, Any], folder: Path) -> None:
    """Analyzes, on this process alone or as one of several workers; a fault is kept in ``error.json``."""
    try:
        analyze(config, folder)
    except BaseException as error:
        AnalysisFolder(folder).record_error(error, parent_reports=distributed.is_active())
        raise


def analyze(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Analyzes [CLS] before fine-tuning, and after it if ``config["run"]`` names a run, and writes all into ``folder``.

    At every layer, and at the pooler where the checkpoint has one; of a run where it was fine-tuned with it.

    Leaves ``analysis.json`` (written last), ``analysis.csv``, ``analysis.html``, ``figures`` and, for each side,
    the accumulators ``snapshots_<side>.pt`` from which any number can be made again.

    Args:
        config: Resolved; ``data``, ``model``, ``seeds``, ``choices``, ``run``, ``accelerator``, ``note``.
        folder: Where to write; exists.

    Returns:
        What ``analysis.json`` holds.
    """
    sides, shared = _collect_sides(config, folder)
    record = {
        **shared,
        "run": config["run"],
        "note": config["note"],
        "sides": {side: {place: _numbers(s) for place, s in found.items()} for side, found in sides.items()},
        "counts": {side: {place: _counts(s) for place, s in found.items()} for side, found in sides.items()},
        "outliers": {side: outlier_dimensions(found) for side, found in sides.items()},
        "changes": _changes(sides),
        "similarity": {side: between_places(found) for side, found in sides.items()},
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    if distributed.rank() == 0:
        _write(folder, record, sides)
    distributed.barrier()
    return record


def _collect_sides(config: dict[str, Any], folder: Path) -> tuple[dict[str, Snapshots], dict[str, Any]]:
    on_gpu = config["accelerator"] != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    tuned = load_run(config["run"]) if config["run"] else None
    base = {**tuned.config, "callbacks": {}, "logger": {}} if tuned else {**_with_pooler(config), **IDENTITY}
    choices = base["choices"]
    untrained, tokenizer = build_classifier({**base, **IDENTITY}, num_outputs=1)
    data = build_data(base, tokenizer, packed=untrained.encoder.can_pack)
    classifiers = {"before": untrained} | ({"after": tuned.classifier} if tuned else {})
    sides = {}
    for side, classifier in classifiers.items():
        path = folder / f"snapshots_{side}.pt"
        if distributed.broadcast_object(path.exists()):
            sides[side] = _load(path)
            log.info("%s: taken from %s", side, path)
            continue
        sides[side] = collect(classifier, data, device=device, draft=folder / f"unfinished_{side}")
        if distributed.rank() == 0:
            _save(path, sides[side])
            for draft in folder.glob(f"unfinished_{side}.*"):  # also of another number of processes
                draft.unlink()
    head = _head(tuned.classifier, sides["after"]) if tuned and not data.regression else None
    names = {"data": choices["data"], "model": choices["model"], "path": base["model"]["path"]}
    return sides, {**names, "rows": data.train_size, "head": head}


def _head(classifier: Classifier, found: Snapshots) -> dict[str, Any]:
    """How near a fine-tuned head is to the class means that it reads."""
    place = head_input(classifier, found)
    head: Any = classifier.head
    rows = getattr(head, "directions", head.weight)  # of a head to which lengths say nothing
    return {"place": place, "nc3": nc3(found[place], rows.detach().cpu())}


def _with_pooler(config: dict[str, Any]) -> dict[str, Any]:
    """Reads the model at its pooler where it has one, so that its taps are places, too; the layers are the same."""
    model = config["model"]
    return {**config, "model": {**model, "tap": "pooler"}} if has_pooler(model["path"]) else config


def _numbers(snapshot: Snapshot) -> dict[str, dict[str, float | None]]:
    return {name: {"value": value.value, "null": value.null} for name, value in describe(snapshot).items()}


def _counts(snapshot: Snapshot) -> dict[str, int]:
    return {"rows": snapshot.count, "not_finite": snapshot.not_finite, "sample": len(snapshot.sample.rows)}


def _changes(sides: dict[str, Snapshots]) -> dict[str, dict[str, float]]:
    """How each place that both sides have has changed; nothing where there is one side."""
    before, after = sides["before"], sides.get("after", {})
    return {place: compare(before[place], after[place]) for place in before if place in after}


def _save(path: Path, snapshots: Snapshots) -> None:
    kept = {
        name: {"dim": s.dim, "num_classes": s.num_classes, "state": s.state_dict()} for name, s in snapshots.items()
    }
    with replacing(path) as draft:
        torch.save(kept, draft)


def _load(path: Path) -> Snapshots:
    snapshots = {}
    for name, kept in torch.load(path, weights_only=True).items():
        snapshots[name] = Snapshot(kept["dim"], num_classes=kept["num_classes"])
        snapshots[name].load_state_dict(kept["state"])
    return snapshots


def _write(folder: Path, record: dict[str, Any], sides: dict[str, Snapshots]) -> None:
    drawn = draw_figures(sides, record)
    for name, figure in drawn.items():
        write_drawn(folder / "figures" / name, figure)
    write_text(folder / "analysis.csv", _as_csv(record))
    write_page(folder, record, drawn)
    write_json(folder / "analysis.json", _finite(record))
    write_joint_page(folder.parent)


def _as_csv(record: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["side", "place", "statistic", "value", "null", "rows", "not_finite"])
    for side, points in record["sides"].items():
        for place, numbers in points.items():
            counts = record["counts"][side][place]
            for name, number in numbers.items():
                line = [side, place, name, number["value"], number["null"], counts["rows"], counts["not_finite"]]
                writer.writerow(line)
    for side, found in record["similarity"].items():
        for place, values in zip(found["places"], found["cka"], strict=True):
            for other, value in zip(found["places"], values, strict=True):
                writer.writerow([side, place, f"similarity/cka/{other}", value, None, None, None])
    if head := record["head"]:
        writer.writerow(["after", head["place"], "head/nc3", head["nc3"], None, None, None])
    for place, changes in record["changes"].items():
        for name, value in changes.items():
            writer.writerow(["change", place, name, value, None, None, None])
    return text.getvalue()


def _finite(value: Any) -> Any:
    """Plain JSON has no NaN and no infinity: an undefined number is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
