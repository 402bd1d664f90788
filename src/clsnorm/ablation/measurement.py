"""Ablations of outlier dimensions against random sets: chosen on ``select``, measured once on ``report``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clsnorm.ablation.effects import MEASURES, Readout
from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.ablation.interventions import Intervention, TrainFacts, applicable, other_examples
from clsnorm.ablation.null_comparison import compared, excess
from clsnorm.ablation.outlier_sets import Sets
from clsnorm.ablation.plan import FEWEST, AblationPlan
from clsnorm.ablation.random_sets import NULLS, matched_sets, sets_of_equal_energy, sets_of_equal_size
from clsnorm.ablation.refitted_head import RefittedHead
from clsnorm.errors import InputError

Array = np.ndarray
Effects = dict[str, float]
RULE = (
    "the pair whose ablation raises the mean loss on select most, in standard deviations of random sets of equal size "
    "above their mean"
)


class SplitAblation:
    """Ablates sets of dimensions of one split; the outcome of each set is computed once.

    Args:
        readout: Of the split.
        facts: On the training split.
        seed: Of the examples whose values replace others.
    """

    def __init__(self, readout: Readout, facts: TrainFacts, *, seed: int) -> None:
        self.readout, self.facts = readout, facts
        h = readout.rows.h
        self._others = h[torch.from_numpy(other_examples(len(h), seed)).to(h.device)]

    def changed(self, ablation: Intervention, dims: Array) -> Tensor:
        """Returns the ablated embeddings, ``(n, d)``."""
        return ablated(ablation, self.readout.rows.h, dims, self.facts, self._others)

    def effect(self, ablation: Intervention, dims: Array) -> Effects:
        """Returns the effect of ablating ``dims``."""
        return self.readout.effect(self.readout.read(self.changed(ablation, dims)))

    def removed(self, ablation: Intervention) -> Callable[[Array], float]:
        """Returns the function from a set to the mean square of the change of ``h``, summed over dimensions."""
        h = self.readout.rows.h

        def energy(dims: Array) -> float:
            return float((self.changed(ablation, dims) - h).double().square().sum(1).mean())

        return energy


def ablated(ablation: Intervention, h: Tensor, dims: Array, facts: TrainFacts, others: Tensor) -> Tensor:
    """Returns embeddings ``(n, d)`` without ``dims``; ``others`` are those of other examples."""
    return ablation.apply(h, torch.from_numpy(dims).to(h.device), facts, others)


def refit(
    train: EncodedRows, report: SplitAblation, chosen: Mapping[str, Any], plan: AblationPlan, *, classes: int
) -> dict[str, Any]:
    """Returns the effect of the chosen ablation with heads fitted after it (`RefittedHead.compare`)."""
    ablation, dims = applicable(report.facts)[chosen["ablation"]], np.array(chosen["dimensions"])
    others = train.h[torch.from_numpy(other_examples(len(train.h), plan.seed)).to(train.h.device)]

    def on_train(h: Tensor, ablated_dims: Array) -> Tensor:
        return ablated(ablation, h, ablated_dims, report.facts, others)

    def on_report(h: Tensor, ablated_dims: Array) -> Tensor:
        return report.changed(ablation, ablated_dims)

    head = RefittedHead(train, report.readout, classes, on_train=on_train, on_other=on_report)
    drawn = _draw_sets("size", report, ablation, dims, replace(plan, random_sets=max(plan.refit_sets, FEWEST)))
    return head.compare(dims, drawn[: plan.refit_sets])


def measure_on_select(select: SplitAblation, sets: Sets, plan: AblationPlan) -> list[dict[str, Any]]:
    """Returns the effect of each ablation of each distinct set, and where it lies among random sets of equal size."""
    found = []
    for dims, definitions in _distinct(sets).items():
        for name, ablation in applicable(select.facts).items():
            drawn = _draw_sets("size", select, ablation, np.array(dims), plan)
            null = [select.effect(ablation, others) for others in drawn]
            effect = select.effect(ablation, np.array(dims))
            row = {"definitions": definitions, "dimensions": list(dims), "ablation": name, "effect": effect}
            losses = [other["loss"] for other in null]
            found.append({**row, "null": _compared(effect, null), "excess": excess(effect["loss"], losses)})
    return found


def choose(found: list[dict[str, Any]], plan: AblationPlan) -> dict[str, Any] | None:
    """Returns the set and the ablation to measure on ``report``; None if there is no outlier dimension.

    Raises:
        InputError: The plan names a definition without outliers, or an ablation that the model does not allow.
    """
    allowed = [
        row for row in found if plan.definition in ("", *row["definitions"]) and plan.ablation in ("", row["ablation"])
    ]
    if not allowed and (plan.definition or plan.ablation):
        wanted = " ".join(f"--{name} {value}" for name in ("definition", "ablation") if (value := getattr(plan, name)))
        pairs = dict.fromkeys(f"{name} {row['ablation']}" for row in found for name in row["definitions"])
        raise InputError(
            f"Expected {wanted} to name outlier dimensions that this run has, but it does not. There are "
            f"{', '.join(pairs) or 'no outlier dimensions by any definition'}"
        )
    if not allowed:
        return None
    best = max(allowed, key=lambda row: row["excess"])
    by = "given" if plan.definition and plan.ablation else "select"
    return {**{key: best[key] for key in ("definitions", "dimensions", "ablation", "excess")}, "by": by, "rule": RULE}


def measure_on_report(
    report: SplitAblation, chosen: Mapping[str, Any], features: Mapping[str, Array], plan: AblationPlan
) -> dict[str, Any]:
    """Returns the effect of the chosen ablation, with intervals over examples and each kind of random sets.

    Args:
        report: The split; nothing has been measured on it before.
        chosen: Result of `choose`.
        features: ``variance`` and ``head``, ``(d,)``: what random sets are matched in.
        plan: The options.
    """
    ablation, dims = applicable(report.facts)[chosen["ablation"]], np.array(chosen["dimensions"])
    outcome = report.readout.read(report.changed(ablation, dims))
    effect = report.readout.effect(outcome)
    nulls = {kind: control(kind, report, ablation, dims, effect, features, plan) for kind in NULLS}
    return {
        "score": report.readout.unchanged.score,
        "loss": float(report.readout.unchanged.losses.double().mean()),
        "effect": effect,
        "intervals": report.readout.intervals(outcome, draws=plan.resamples, seed=plan.seed),
        "nulls": nulls,
    }


def control(
    kind: str,
    split: SplitAblation,
    ablation: Intervention,
    dims: Array,
    effect: Effects,
    features: Mapping[str, Array],
    plan: AblationPlan,
) -> dict[str, Any]:
    """Ablates random sets of one of the `NULLS` and compares ``effect``, that of ``dims``, with theirs.

    Returns:
        ``sets`` (their number), ``effects`` (the comparison of each measure), ``draws`` (the effects
        of all sets), and ``matching`` (what the sets have in common with ``dims``).
    """
    drawn = _draw_sets(kind, split, ablation, dims, plan, features.get(kind))
    effects = [split.effect(ablation, others) for others in drawn]
    return {
        "sets": len(drawn),
        "effects": _compared(effect, effects),
        "draws": {name: [other[name] for other in effects] for name in MEASURES},
        "matching": _matching(dims, drawn, features, split.removed(ablation)),
    }


def _distinct(sets: Sets) -> dict[tuple[int, ...], list[str]]:
    """Returns the definitions by the set that they give; without empty sets."""
    found: dict[tuple[int, ...], list[str]] = {}
    for name, dims in sets.items():
        if len(dims):
            found.setdefault(tuple(dims.tolist()), []).append(name)
    return found


def _draw_sets(
    kind: str,
    split: SplitAblation,
    ablation: Intervention,
    dims: Array,
    plan: AblationPlan,
    feature: Array | None = None,
) -> list[Array]:
    draw = np.random.default_rng([plan.seed, len(dims)])
    dim, count = split.readout.rows.h.shape[1], plan.random_sets
    if feature is not None:
        return matched_sets(dims, feature, count=count, draw=draw)
    if kind == "energy":
        return sets_of_equal_energy(dims, dim, split.removed(ablation), count=count, draw=draw)
    return sets_of_equal_size(dims, dim, count=count, draw=draw)


def _compared(effect: Effects, others: list[Effects]) -> dict[str, Any]:
    return {name: compared(effect[name], [other[name] for other in others]) for name in MEASURES}


def _matching(
    dims: Array, drawn: list[Array], features: Mapping[str, Array], removed: Callable[[Array], float]
) -> dict[str, dict[str, float]]:
    """Returns what the outliers and the median random set have of each feature: means over dimensions, and energy."""
    found = {name: _own_and_median(dims, drawn, partial(_average, feature)) for name, feature in features.items()}
    return {
        **found,
        "energy": _own_and_median(dims, drawn, removed),
        "dimensions": _own_and_median(dims, drawn, lambda s: float(len(s))),
    }


def _average(feature: Array, dims: Array) -> float:
    return float(feature[dims].mean())


def _own_and_median(dims: Array, drawn: list[Array], value: Callable[[Array], float]) -> dict[str, float]:
    medians = float(np.median([value(others) for others in drawn])) if drawn else math.nan
    return {"outliers": value(dims), "random": medians}
