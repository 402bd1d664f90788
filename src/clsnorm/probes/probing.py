"""One study of probes, from its configuration to the files in its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from typing_extensions import override

from clsnorm.config.names import normalizer_files
from clsnorm.data import DataModule
from clsnorm.errors import InputError, refuse, require_choice
from clsnorm.experiment.assembly import build_data, load_pretrained
from clsnorm.files import write_sealed, write_text
from clsnorm.freed_memory import keep_freed_memory
from clsnorm.model import Encoder
from clsnorm.probes.arms import LEAK, Arm
from clsnorm.probes.features import POOLED, SPLITS, Features, read_features, resolved
from clsnorm.probes.linear_probes import (
    InvariantLogistic,
    Logistic,
    NearestMean,
    Ridge,
    ShrunkDiscriminant,
    UnregularizedLogistic,
)
from clsnorm.probes.neighbour_probes import CosineNeighbours, Neighbours
from clsnorm.probes.probe import Probe
from clsnorm.probes.probe_page import write_probe_page
from clsnorm.probes.probe_study import FEW_SHOT, Plan, ProbeStudy
from clsnorm.probes.probe_table import probe_csv
from clsnorm.run_folder import RunFolder, provenance

PROBES: tuple[Probe, ...] = (
    Logistic(),
    InvariantLogistic(),
    UnregularizedLogistic(),
    Ridge(),
    NearestMean(),
    ShrunkDiscriminant(),
    Neighbours(),
    CosineNeighbours(),
)
REFERENCE = "identity"


class ProbeFolder(RunFolder):
    """The folder of one study: claimed like that of a run; finished once ``probes.json`` exists."""

    LOST = "Delete it, and the same command writes it again"

    @property
    @override
    def results(self) -> Path:
        return self.path / "probes.json"


def execute(config: dict[str, Any], folder: Path) -> None:
    """Runs `probe`; writes ``error.json`` if it fails."""
    keep_freed_memory()
    with ProbeFolder(folder).recording_errors(parent_reports=False):
        probe(config, folder)


def probe(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Encodes all rows once and probes them at each place, for each normalizer; writes the files of ``folder``.

    Writes ``probes.csv``, ``probes.html`` and ``probes.json``, last.

    Args:
        config: Resolved; that of ``conf/probe.yaml``, with ``choices`` and ``note``.
        folder: Existing folder to write to.

    Returns:
        The content of ``probes.json``.

    Raises:
        InputError: If an option, the data or a place is refused.
    """
    started = time.perf_counter()
    encoder, tokenizer = load_pretrained(_with_pooler(config))
    places = list(dict.fromkeys(resolved(place, encoder) for place in config["places"]))
    data = build_data(config, tokenizer, packed=encoder.can_pack)
    plan = _plan(config, data)
    device = torch.device("cuda" if config["accelerator"] != "cpu" and torch.cuda.is_available() else "cpu")
    features = read_features(encoder, data, places, cache=Path(config["paths"]["cache"]), device=device)
    encoder.to("cpu")
    labels = {split: data.labels_of(split) for split in SPLITS}
    studies = {
        found.place: ProbeStudy(found, labels, 0 if data.regression else data.num_outputs, plan).run(
            _arms(config, found, encoder)
        )
        for found in features
    }
    record = {
        "data": config["choices"]["data"],
        "model": config["choices"]["model"],
        "path": config["model"]["path"],
        "note": config["note"],
        "rows": {split: len(y) for split, y in labels.items()},
        "classes": 0 if data.regression else data.num_outputs,
        "majority": None if data.regression else float((labels["report"] == data.majority()).mean()),
        "options": {key: config[key] for key in ("seed", "folds", "shots", "draws", "resamples", "leak")},
        "laws": {probe.name: probe.affine_law for probe in plan.probes},
        "places": studies,
        "seconds": {"encoding": features[0].seconds, "all": time.perf_counter() - started},
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "config_hash": config["config_hash"],
    }
    write_text(folder / "probes.csv", probe_csv(record))
    write_probe_page(folder, record)
    write_sealed(folder / "probes.json", record)
    return record


def _with_pooler(config: dict[str, Any]) -> dict[str, Any]:
    """Taps the model at its pooler if a place after the layers is wanted; the layers do not change."""
    wanted = any(place in POOLED for place in config["places"])
    return {**config, "model": {**config["model"], "tap": "pooler"}} if wanted else config


def _plan(config: dict[str, Any], data: DataModule) -> Plan:
    chosen = config["probes"]
    possible = {probe.name: probe for probe in PROBES if probe.regression or not data.regression}
    names = [*possible, *([] if data.regression else [FEW_SHOT])]
    if chosen != "all":
        if not isinstance(chosen, list) or not chosen:
            refuse("probes", "all or a list", chosen, "Write probes=[logistic,ridge]")
        advice = "Numbers can be predicted by ridge only" if data.regression else ""
        for name in chosen:
            require_choice("probes", name, names, advice=advice)
        names = chosen
    few = FEW_SHOT in names and _require_shots(config, data)
    probes = [possible[name] for name in names if name != FEW_SHOT]
    draws = config["draws"] if few else 0
    return Plan(probes, config["folds"], config["shots"], draws, config["resamples"], config["seed"])


def _require_shots(config: dict[str, Any], data: DataModule) -> bool:
    """Returns whether each class of train has enough rows for a draw; refuses if it was asked for by name."""
    labels = data.labels_of("train").tolist()
    smallest = min(labels.count(label) for label in set(labels))
    if smallest >= config["shots"]:
        return True
    if config["probes"] != "all":
        raise InputError(
            f"Expected at least shots={config['shots']} training rows of each class for few_shot, but the smallest "
            f"class has {smallest}. Set shots={smallest}, or leave few_shot out of probes"
        )
    return False


def _arms(config: dict[str, Any], features: Features, encoder: Encoder) -> list[Arm]:
    """Returns the reference, each normalizer, and with ``leak`` each that is fitted to rows again, leaking."""
    norm = encoder.final_norm() if features.place == resolved("last", encoder) else None
    nodes: dict[str, Any] = {
        path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in normalizer_files(config["normalizers"])
    }
    arms = [Arm(name, node, norm) for name, node in nodes.items()]
    if config["leak"]:
        arms += [Arm(f"{name}{LEAK}", node, norm, leaks=True) for name, node in nodes.items() if name != REFERENCE]
    return arms
