"""Writes finished run folders in the real formats, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clsnorm.files import replacing, write_sealed
from clsnorm.run_folder.stored_config import write_config

EXAMPLES = 120


def config(**changes: Any) -> dict[str, Any]:
    """Returns the parts of a configuration that a report reads; ``changes`` by dotted name with __ for dots."""
    seed = changes.pop("seed", 0)
    data, normalizer = changes.pop("data", "trec"), changes.pop("normalizer", "identity")
    accuracy = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "_partial_": True, "average": "micro"}
    found: dict[str, Any] = {
        "seed": seed,
        "seeds": dict.fromkeys(("init", "order", "dropout", "subset", "noise"), seed),
        "paths": {"output": "/somewhere"},
        "data": {"mode": "max", "max_length": 48, "batch_size": 32, "metrics": {"accuracy": accuracy}},
        "model": {"_target_": "clsnorm.model.Encoder", "path": "wheel:x", "seed_init": seed},
        "normalizer": {"_target_": f"clsnorm.normalizers.{normalizer.title()}", "_partial_": True},
        "classifier": {"_target_": "clsnorm.model.Classifier", "dropout": 0.1},
        "loss": {
            "_target_": "clsnorm.losses.StandardLoss",
            "_partial_": True,
            "class_weights": None,
            "label_smoothing": 0.0,
        },
        "regularizer": {"_target_": "clsnorm.regularizers.Unregularized"},
        "optimizer": {"_target_": "clsnorm.optim.AdamW", "lr": 1e-4, "weight_decay": 0.01},
        "scheduler": {"warmup_ratio": 0.1},
        "trainer": {"max_epochs": 3, "devices": 1},
        "callbacks": {},
        "config_hash": f"{data}{normalizer}{seed}",
        "choices": {"data": data, "model": "minilm", "normalizer": normalizer, "optimizer": "adamw"},
    }
    for name, value in changes.items():
        group, key = name.split("__")
        found[group][key] = value
    return found


def write_run(
    folder: Path, accuracy: float = 0.8, *, classes: int = 2, finished: bool = True, wrong: Any = None, **changes: Any
) -> Path:
    """Writes one run that answers a share ``accuracy`` of the examples right; which ones depends on its name."""
    status = changes.pop("status", "completed")
    settings = config(**changes)
    choices, seed = settings["choices"], settings["seed"]
    lr = settings["optimizer"]["lr"]
    run = folder / f"{choices['data']}-{choices['normalizer']}-s{seed}-{lr:g}"
    run.mkdir(parents=True)
    write_config(run / "config.yaml", settings)
    if not finished:
        return run
    labels = np.arange(EXAMPLES) % classes
    random = np.random.default_rng([len(choices["normalizer"]), seed, int(1e6 * lr)])
    missed = random.permutation(EXAMPLES)[: round((1 - accuracy) * EXAMPLES)] if wrong is None else np.asarray(wrong)
    answers = labels.copy()
    answers[missed] = (labels[missed] + 1) % classes
    probabilities = np.full((EXAMPLES, classes), 0.3 / (classes - 1) if classes > 1 else 0.0)
    probabilities[np.arange(EXAMPLES), answers] = 0.7
    frame = pd.DataFrame({"part": "report", "example_id": np.arange(EXAMPLES), "label": labels})
    for column in range(classes):
        frame[f"p{column}"] = probabilities[:, column]
    with replacing(run / "predictions.parquet") as draft:
        frame.to_parquet(draft, index=False)
    write_sealed(run / "results.json", results(settings, float((answers == labels).mean()), status))
    return run


def results(settings: dict[str, Any], score: float, status: str = "completed") -> dict[str, Any]:
    """Returns the content of ``results.json``."""
    choices = settings["choices"]
    return {
        "status": status,
        **{key: choices[key] for key in ("data", "normalizer", "model")},
        "seed": settings["seed"],
        "seeds": settings["seeds"],
        "config_hash": settings["config_hash"],
        "monitor": "accuracy",
        "metrics": {"report/accuracy": score, "select/accuracy": score},
        "majority": 0.5,
        "collapsed": score <= 0.5,
        "failed": score < 0.45,
        "failed_selected": score < 0.45,
        "train_examples": 100,
        "steps": 120,
        "seconds": 3.0,
        "peak_memory_mb": 100.0,
        "examples_per_second": 50.0,
        "source": {"sha256": f"sha of {choices['data']}", "rows": {"report": EXAMPLES}},
        "versions": {"torch": "2"},
        "devices": 1,
        "commit": "a" * 40,
    }


def record_start(
    run: Path, centred_share: float, top_energy_share: float, *, rows: int = 512, dim: int = 384, step: int = 0
) -> None:
    """Adds to a run what `ClsStatistics` records before the first step."""
    names = "step,cls/start/h/centred_share,cls/start/h/top_energy_share"
    (run / "metrics.csv").write_text(f"{names}\n{step},{centred_share},{top_energy_share}\n")
    (run / "statistics").mkdir(exist_ok=True)
    np.savez(run / "statistics" / "start_h.npz", **{"dim": np.array(dim), "moments/count": np.array(rows)})


def record_gradients(run: Path, early: float = 1.0, *, kinds: Sequence[str] = ()) -> None:
    """Adds to a run what `GradientNorms` records: its largest early gradient at h, and events of ``kinds``."""
    content = json.loads((run / "results.json").read_text())
    content["metrics"] |= {"grad/run/h/max": 2 * early, "grad/steps/h/max/start/max": early}
    write_sealed(run / "results.json", {key: value for key, value in content.items() if key != "digest"})
    lines = [f"{step},0,{kind},grad/h/max,1.0\n" for step, kind in enumerate(kinds)]
    (run / "events.csv").write_text("step,rank,kind,place,value\n" + "".join(lines))
