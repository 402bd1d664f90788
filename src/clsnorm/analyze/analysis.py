"""One analysis, from its configuration to the files in its folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from clsnorm import distributed
from clsnorm.analyze.analysis_page import write_page
from clsnorm.analyze.collect import collect
from clsnorm.analyze.comparison import between_places, compare, nc3, outlier_dimensions
from clsnorm.analyze.gallery import draw_figures
from clsnorm.analyze.joint_page import update_joint_page
from clsnorm.analyze.snapshots import Snapshots, read_or_remove, read_snapshots, write_snapshots
from clsnorm.analyze.table import as_csv
from clsnorm.data import DataModule
from clsnorm.experiment.assembly import build_classifier, build_data
from clsnorm.experiment.loaded import load_run
from clsnorm.files import write_sealed, write_text
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.model import Classifier, has_pooler
from clsnorm.model.places import head_input
from clsnorm.pages.figure import write_drawn
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.run_folder.results import without_nan
from clsnorm.statistics import Snapshot, describe

log = logging.getLogger(__name__)
IDENTITY = {
    "normalizer": {"_target_": "clsnorm.normalizers.Identity", "_partial_": True},
    "classifier": {"_target_": "clsnorm.model.Classifier", "_partial_": True},
}


class AnalysisFolder(RunFolder):
    """The folder of one analysis: claimed and resumed like that of a run; finished once ``analysis.json`` exists."""

    LOST = "Delete it, and the same command writes it again, from the snapshots"

    @property
    def results(self) -> Path:
        return self.path / "analysis.json"

    @override
    def proving_files(self) -> list[Path]:
        snapshots = self.path / "snapshots"
        return [*super().proving_files(), *([snapshots] if snapshots.exists() else [])]


def execute(config: dict[str, Any], folder: Path) -> None:
    """Runs `analyze`, on one process or as one of several workers; writes ``error.json`` if it fails."""
    keep_freed_memory()
    with AnalysisFolder(folder).recording_errors(parent_reports=distributed.is_active()):
        analyze(config, folder)


def work(folder: Path) -> None:
    """Analyzes as one of several workers."""
    execute(AnalysisFolder(folder).read_config(), folder)


def analyze(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Analyzes [CLS] before fine-tuning, and after it if ``config["run"]`` names a run; writes the files of ``folder``.

    The places are every layer, and the pooler if the checkpoint has one; for a run, if it was fine-tuned with it.

    Writes ``analysis.json`` (last), ``analysis.csv``, ``analysis.html``, ``figures`` and, for each side and place, the
    accumulators ``snapshots/{side}/{place}.npz``: `clsnorm.statistics.load` reads them, and every statistic can be
    recomputed.

    Args:
        config: Resolved; ``data``, ``model``, ``seeds``, ``choices``, ``run``, ``accelerator``, ``note``.
        folder: Existing folder to write to.

    Returns:
        The content of ``analysis.json``.
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
    if "config_hash" in config:
        record["config_hash"] = config["config_hash"]  # says whose folder this is if config.yaml is damaged
    if distributed.rank() == 0:
        _write(folder, record, sides)
    distributed.barrier()
    return record


def _collect_sides(config: dict[str, Any], folder: Path) -> tuple[dict[str, Snapshots], dict[str, Any]]:
    """Returns the snapshots by side, and what the analysis of both sides shares."""
    tuned = load_run(config["run"]) if config["run"] else None
    base = {**tuned.config, "callbacks": {}, "logger": {}} if tuned else {**_with_pooler(config), **IDENTITY}
    choices = base["choices"]
    untrained, tokenizer = build_classifier({**base, **IDENTITY}, num_outputs=1)
    data = build_data(base, tokenizer, packed=untrained.encoder.can_pack)
    classifiers = {"before": untrained} | ({"after": tuned.classifier} if tuned else {})
    device = _device(config["accelerator"])
    sides = {side: _collect_side(side, model, data, folder, device) for side, model in classifiers.items()}
    head = _head(tuned.classifier, sides["after"]) if tuned and not data.regression else None
    names = {"data": choices["data"], "model": choices["model"], "path": base["model"]["path"]}
    return sides, {**names, "rows": data.train_size, "head": head}


def _device(accelerator: str) -> torch.device:
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _collect_side(side: str, classifier: Classifier, data: DataModule, folder: Path, device: torch.device) -> Snapshots:
    """Reads the snapshots of a side that an interrupted analysis has finished, else collects and writes them."""
    path = folder / "snapshots" / side
    found = read_or_remove(path) if distributed.rank() == 0 else None
    if distributed.broadcast_object(found is not None):
        log.info("%s: read from %s", side, path)
        snapshots = found or read_snapshots(path)
    else:
        snapshots = collect(classifier, data, device=device, draft=folder / f"unfinished_{side}")
        if distributed.rank() == 0:
            write_snapshots(path, snapshots)
    if distributed.rank() == 0:
        for draft in folder.glob(f"unfinished_{side}.*"):  # including those of another number of processes
            draft.unlink()
    return snapshots


def _head(classifier: Classifier, found: Snapshots) -> dict[str, Any]:
    """Compares a fine-tuned head with the class means at its input."""
    place = head_input(classifier, found)
    head: Any = classifier.head
    rows = getattr(head, "directions", head.weight)  # a cosine head ignores the lengths of its rows
    return {"place": place, "nc3": nc3(found[place], rows.detach().cpu())}


def _with_pooler(config: dict[str, Any]) -> dict[str, Any]:
    """Taps the model at its pooler, if it has one, so that this becomes a place; the layers do not change."""
    model = config["model"]
    return {**config, "model": {**model, "tap": "pooler"}} if has_pooler(model["path"]) else config


def _numbers(snapshot: Snapshot) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            "value": value.value,
            "null": value.null,
            "null_low": value.low,
            "null_high": value.high,
            "p_below": value.p_below,
            "p_above": value.p_above,
        }
        for name, value in describe(snapshot, intervals=True).items()
    }


def _counts(snapshot: Snapshot) -> dict[str, int]:
    return {"rows": snapshot.count, "not_finite": snapshot.not_finite, "sample": len(snapshot.sample.rows)}


def _changes(sides: dict[str, Snapshots]) -> dict[str, dict[str, float]]:
    """Compares each place that both sides have; empty if there is one side."""
    before, after = sides["before"], sides.get("after", {})
    return {place: compare(before[place], after[place]) for place in before if place in after}


def _write(folder: Path, record: dict[str, Any], sides: dict[str, Snapshots]) -> None:
    drawn = draw_figures(sides, record)
    for name, figure in drawn.items():
        write_drawn(folder / "figures" / name, figure)
    write_text(folder / "analysis.csv", as_csv(record))
    write_page(folder, record, drawn)
    write_sealed(folder / "analysis.json", without_nan(record))
    update_joint_page(folder)
