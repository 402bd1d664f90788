"""A study of the outlier dimensions of a finished run, from its folder to ``ablation.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clsnorm.ablation.effects import Readout, agreement
from clsnorm.ablation.encoded_rows import EncodedRows, RowCache
from clsnorm.ablation.interventions import TrainFacts
from clsnorm.ablation.measurement import SplitAblation, choose, measure_on_report, measure_on_select, refit
from clsnorm.ablation.outlier_sets import PlaceFacts, Sets, norm_parameters, outlier_sets, overlaps, threshold_sweep
from clsnorm.ablation.plan import AblationPlan
from clsnorm.ablation.single_dimensions import single_dimensions
from clsnorm.cache import Cache
from clsnorm.callbacks.split_pass import fixed_rows
from clsnorm.data import DataModule
from clsnorm.experiment.assembly import build_classifier, build_data
from clsnorm.experiment.loaded import LoadedRun, load_run
from clsnorm.files import digest
from clsnorm.model import Classifier
from clsnorm.model.places import head_input
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.run_folder.results import without_nan

log = logging.getLogger(__name__)
DIFFERENT = 0.01  # share of rows with another answer than the run's from which on its numbers are not those of the run


class AblationStudy:
    """One run, its data, and its encoded rows.

    Args:
        run: The folder of a finished run.
        plan: The options.
        cache: Folder of caches.
        device: Of all computations.

    Raises:
        InputError: If ``run`` holds no finished run, or its data are not available.
    """

    def __init__(self, run: Path, plan: AblationPlan, *, cache: Path, device: torch.device) -> None:
        self.plan, self._device, self._folder = plan, device, RunFolder(run)
        self.run: LoadedRun = load_run(run)
        config = self.run.config
        before, tokenizer = build_classifier(config, num_outputs=self.run.results["num_outputs"])
        self.data: DataModule = build_data(config, tokenizer, packed=before.encoder.can_pack)
        self._models: dict[str, Classifier] = {"before": before.eval(), "after": self.run.classifier}
        self.classifier = self.run.classifier.to(device)
        self.weights = digest(self._folder.selected)
        weights = {"before": before.encoder.fingerprint(), "after": self.weights}
        batches = {"eval_batch_size": self.data.eval_batch_size, "packed": self.data.batching.packed}
        key = {"data": self.data.fingerprint, "model": weights["before"], "device": device.type, **batches}
        store = Cache(cache / "ablations")
        self._rows = {side: RowCache(store, device, {**key, "weights": found}) for side, found in weights.items()}

    def train_rows(self, side: str) -> EncodedRows:
        """Returns the sample of the training split, with statistics at every place, before or after fine-tuning."""
        rows = fixed_rows(self.data.ids_of("train"), self.plan.rows)
        loader = self.data.rows_dataloader("train", rows)
        return self._rows[side].get(f"train {side}", self._models[side], loader, places=True, about=len(rows))

    def readout(self, split: str) -> Readout:
        """Returns normalizer and head on the rows of ``select`` or ``report``."""
        loader = self.data.val_dataloader() if split == "select" else self.data.test_dataloader()[0]
        rows = self._rows["after"].get(split, self.classifier, loader, places=False)
        return Readout(
            self.classifier,
            rows,
            self.data.metrics[self.data.monitor],
            mode=self.data.mode,
            regression=self.data.regression,
            batch_size=self.data.eval_batch_size,
        )

    def place_facts(self, side: str) -> dict[str, PlaceFacts]:
        """Returns what the definitions need, by place; the sides differ also in the parameters of layer norms."""
        model, found = self._models[side], self.train_rows(side).places
        norms = [norm_parameters(norm) for norm in model.encoder.output_norms()]
        facts = {}
        for place, snapshot in found.items():
            below = norms[: int(place.removeprefix("layer"))] if place.startswith("layer") else []
            own = below[-1] if below else None
            facts[place] = PlaceFacts(snapshot, own, [norm for norm in below if norm is not None])
        return facts

    def compare_with_run(self, readout: Readout) -> dict[str, float | bool] | None:
        """Compares the answers on ``report`` with those the run stored; None if it stored none."""
        table = self._folder.read_predictions()
        if table is None:
            return None
        frame = table.to_pandas()
        frame = frame[frame["part"] == "report"].set_index("example_id").loc[readout.rows.ids.cpu().numpy()]
        stored = frame[["value"] if self.data.regression else [f"p{c}" for c in range(self.data.num_outputs)]]
        found = agreement(readout.unchanged, stored.to_numpy(copy=True), regression=self.data.regression)
        if found.get("other_answers", 0.0) > DIFFERENT:
            log.warning(
                "%.1f %% of the answers differ from those that the run stored: other precision or device?",
                100 * found["other_answers"],
            )
        return found


def study(run: Path, plan: AblationPlan, *, cache: Path, device: torch.device) -> dict[str, Any]:
    """Returns the content of ``ablation.json``.

    Args:
        run: The folder of a finished run.
        plan: The options.
        cache: Folder of caches.
        device: Of all computations.

    Raises:
        InputError: If the run cannot be studied.
    """
    whole = AblationStudy(run, plan, cache=cache, device=device)
    places = {side: whole.place_facts(side) for side in ("before", "after")}
    sets = {side: {place: outlier_sets(facts) for place, facts in found.items()} for side, found in places.items()}
    tap = _place_of_h(whole.classifier, places["after"])
    moments = places["after"][tap].snapshot.moments
    facts = TrainFacts(moments.mean.to(device), moments.covariance.to(device), _at_h(whole.classifier))
    select = SplitAblation(whole.readout("select"), facts, seed=plan.seed)
    on_select = measure_on_select(select, sets["after"][tap], plan)
    chosen = choose(on_select, plan)
    split = SplitAblation(whole.readout("report"), facts, seed=plan.seed)
    features = {"variance": moments.variance.cpu().numpy(), "head": select.readout.head_norms().numpy()}
    record = {
        **_about(whole, select.readout, split.readout),
        "place": tap,
        "outliers": {side: {place: _lists(found) for place, found in one.items()} for side, one in sets.items()},
        "sweep": {side: {place: threshold_sweep(f) for place, f in one.items()} for side, one in places.items()},
        "overlap": overlaps(sets, whole.classifier.encoder.dim, at=tap),
        "select": on_select,
        "chosen": chosen,
        "report": None if chosen is None else _report(whole, split, chosen, features),
        "single": _single(whole, select.readout, sets["after"][tap]),
    }
    return without_nan(record)


def _about(whole: AblationStudy, select: Readout, report: Readout) -> dict[str, Any]:
    """Returns what is known of the run without any ablation, and of the code."""
    return {
        "run": {key: whole.run.results[key] for key in ("data", "model", "normalizer", "seed", "monitor")},
        "plan": asdict(whole.plan),
        "dimensions": whole.classifier.encoder.dim,
        "rows": {"select": len(select.rows.ids), "report": len(report.rows.ids)},
        "unchanged": {"select": select.unchanged.score, "report": report.unchanged.score},
        "agreement": whole.compare_with_run(report),
        "weights": whole.weights,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }


def _report(
    whole: AblationStudy, split: SplitAblation, chosen: Mapping[str, Any], features: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Measures the chosen ablation, with the run's own head and, if wanted, with fitted ones."""
    found = measure_on_report(split, chosen, features, whole.plan)
    if whole.plan.refit_sets and not whole.data.regression:
        train = whole.train_rows("after")
        found["refitted"] = refit(train, split, chosen, whole.plan, classes=whole.data.num_outputs)
    return found


def _place_of_h(classifier: Classifier, places: Mapping[str, Any]) -> str:
    return head_input(classifier, places.keys())


def _at_h(classifier: Classifier) -> Any:
    found = norm_parameters(classifier.encoder.final_norm())
    device = next(classifier.parameters()).device
    return None if found is None else (found[0].to(device), found[1].to(device))


def _single(whole: AblationStudy, select: Readout, sets: Sets) -> dict[str, Any] | None:
    """Returns the accuracy of single dimensions; None in regression, which has no classes."""
    if whole.data.regression:
        return None
    train = whole.train_rows("after")
    pairs = [(rows.h.cpu().numpy(), rows.labels.cpu().numpy()) for rows in (train, select.rows)]
    plan = whole.plan
    found = single_dimensions(
        pairs[0], pairs[1], classes=whole.data.num_outputs, draws=plan.label_draws, seed=plan.seed
    )
    ranks = np.argsort(np.argsort(np.array(found["train"]), kind="stable"))
    share = ranks / max(1, len(ranks) - 1)
    union = sorted({int(i) for dims in sets.values() for i in dims})
    return {**found, "outliers": {str(i): float(share[i]) for i in union}}


def _lists(sets: Sets) -> dict[str, list[int]]:
    return {name: dims.tolist() for name, dims in sets.items()}
