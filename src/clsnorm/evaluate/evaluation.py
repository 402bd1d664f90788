"""One evaluation: a run's answers to the rows of a data set, their scores, and the files in its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from clsnorm.errors import InputError
from clsnorm.evaluate.class_mapping import ClassMapping
from clsnorm.evaluate.scored_part import score_part
from clsnorm.experiment.assembly import build_data
from clsnorm.experiment.loaded import LoadedRun, load_run
from clsnorm.files import write_sealed
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.launch.devices import device_of
from clsnorm.metrics import predictions
from clsnorm.progress import ProgressBar
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.run_folder.predictions import prediction_rows, write_predictions
from clsnorm.run_folder.results import without_nan

if TYPE_CHECKING:
    import pandas as pd

    from clsnorm.data import DataModule


class EvaluationFolder(RunFolder):
    """The folder of one evaluation: claimed like that of a run; finished once ``evaluation.json`` exists."""

    LOST = "Delete it, and the same command writes it again"

    @property
    @override
    def results(self) -> Path:
        return self.path / "evaluation.json"


def execute(config: dict[str, Any], folder: Path) -> None:
    """Runs `evaluate`; writes ``error.json`` if it fails."""
    keep_freed_memory()
    with EvaluationFolder(folder).recording_errors(parent_reports=False):
        evaluate(config, folder)


def evaluate(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Scores a run on the rows of ``config["data"]``; writes ``predictions.parquet`` and ``evaluation.json``, last.

    Texts are tokenized with the run's tokenizer and answered in its precision. On the run's own report split, the
    scores are those of its ``results.json``.

    Args:
        config: Resolved; that of ``conf/evaluate.yaml``, with ``choices``.
        folder: Existing folder to write to.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        InputError: If there is no finished run, the data are not available, or their classes are not those of the run.
    """
    started = time.perf_counter()
    run = load_run(config["run"])
    data = build_data(config, run.tokenizer, packed=run.classifier.encoder.can_pack)
    mapping = _mapping(run, data, config["classes"])
    device = device_of(config["accelerator"])
    run.classifier.to(device)
    parts, frames = {}, []
    for part in _parts(data, config["split"]):
        logits = _logits(run, data, part, device)
        logits = logits if mapping is None else mapping.apply(logits)
        parts[part], rows = _scored(data, part, logits, resamples=config["resamples"], seed=config["seed"])
        frames.append(rows)
    _write_answers(folder, frames, data)
    record = {
        "run": config["run"],
        "run_hash": run.config["config_hash"],
        "data": config["choices"]["data"],
        "model": config["choices"]["model"],
        "normalizer": run.results["normalizer"],
        "seed": run.results["seed"],
        "split": config["split"],
        "classes": None if mapping is None else mapping.pairs,
        "monitor": data.monitor,
        "parts": parts,
        "resamples": config["resamples"],
        "source": data.source_record,
        "seconds": time.perf_counter() - started,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "config_hash": config["config_hash"],
    }
    record = without_nan(record)
    write_sealed(folder / "evaluation.json", record)
    return record


def _mapping(run: LoadedRun, data: DataModule, given: dict[str, Any] | None) -> ClassMapping | None:
    """Returns how the classes of the run are those of the data; None if both predict numbers."""
    names = run.predictor.classes
    if (names is None) is not data.regression:
        kinds = {True: "numbers", False: "classes"}
        raise InputError(
            f"Expected data with {kinds[names is None]}, which the run predicts, but {data.name!r} has "
            f"{kinds[data.regression]}. Choose another data set"
        )
    if names is None:
        return None
    return ClassMapping.between(names, [str(name) for name in data.labels or ()], given or {})


def _parts(data: DataModule, split: str) -> list[str]:
    return {"report": data.report_names, "all": data.splits}.get(split, [split])


def _logits(run: LoadedRun, data: DataModule, part: str, device: torch.device) -> Tensor:
    """Returns the run's logits for the rows of a split, in their order, ``(n, C)``, on the CPU."""
    loader = data.rows_dataloader(part, np.arange(len(data.ids_of(part))))
    with run.classifier.evaluating(), run.predictor.precision(device):
        found = [
            run.classifier(batch.to(device)).logits.float().cpu()
            for batch in ProgressBar(loader, what=f"Evaluating {part}")
        ]
    return torch.cat(found) if found else torch.empty(0, run.classifier.num_outputs)


def _scored(
    data: DataModule, part: str, logits: Tensor, *, resamples: int, seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Returns the scores of a split, with that of the constant prediction, and the answers to its rows."""
    labels, values = torch.as_tensor(data.labels_of(part)), predictions(logits, regression=data.regression)
    scores = score_part(logits, values, labels, data.metrics, resamples=resamples, seed=seed)
    numbers = values.reshape(len(labels), -1).numpy()
    rows = prediction_rows(part, data.ids_of(part), labels.numpy(), numbers, regression=data.regression)
    return scores | {"majority": data.majority_score(part)}, rows


def _write_answers(folder: Path, frames: list[pd.DataFrame], data: DataModule) -> None:
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True).sort_values(["part", "example_id"])
    write_predictions(folder / "predictions.parquet", rows, data.labels)
