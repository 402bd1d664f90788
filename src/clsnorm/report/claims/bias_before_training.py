"""Claim 1: before training, [CLS] is biased: not centred, and concentrated on few dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from clsnorm.pages.numbers import plural
from clsnorm.report.claims.noise_shares import noise_share
from clsnorm.report.claims.paper_claim import Evidence, PaperClaim, Support, between
from clsnorm.report.sweeps.pooling import by_task
from clsnorm.report.sweeps.recorded import start_number, start_size
from clsnorm.report.sweeps.run_row import RunRow

CLAIM = "Before training, [CLS] is biased: it is not centred, and concentrated on few dimensions."
NUMBERS = {
    "centred_share": "share of the mean in the mean square before training",
    "top_energy_share": "share of the 5 largest dimensions in the mean square before training",
}
LEAST = 0.05  # share of the mean below which a bias is too small to matter
TIMES = 2.0  # the share of the largest dimensions is concentrated if it is so many times that of noise


def bias_before_training(rows: Iterable[RunRow], baseline: str) -> PaperClaim:
    """Returns the claim, judged from the embeddings of the select split before the first step.

    Not centred: the mean has at least `LEAST` of the mean square. Concentrated: the 5 largest dimensions have `TIMES`
    their share in noise. Both above the interval of noise. Supported if both hold on all data sets; refuted if neither
    does on any; else mixed.
    """
    evidence: list[Evidence] = []
    models = set()
    for task, members in by_task(row for row in rows if row.finished).items():
        found = _of_task(task, sorted(members, key=lambda row: row.arm != baseline))
        evidence += found
        models |= {row.choice("model") for one in found for row in one.runs}
    held = {name: [_holds(name, one) for one in evidence if one.quantity == NUMBERS[name]] for name in NUMBERS}
    outcomes = [outcome for found in held.values() for outcome in found]
    if not outcomes:
        return PaperClaim(1, CLAIM, Support.UNKNOWN, f"{_nothing()}", [])
    support = Support.SUPPORTED if all(outcomes) else Support.MIXED if any(outcomes) else Support.REFUTED
    return PaperClaim(1, CLAIM, support, _sentence(evidence, held, sorted(models)), evidence)


def _nothing() -> str:
    return (
        "No run recorded [CLS] before training together with the accumulators that its noise level is computed from; "
        "`callbacks=default` does."
    )


def _of_task(task: str, rows: Sequence[RunRow]) -> list[Evidence]:
    """Returns the numbers of the first run that recorded them: before training runs of one arm have the same ones."""
    for row in rows:
        values = {name: start_number(row, name) for name in NUMBERS}
        size = None if any(map(math.isnan, values.values())) else start_size(row)
        if size is not None:
            return [
                Evidence(task, "", NUMBERS[name], value, noise=noise_share(name, *size), runs=[row])
                for name, value in values.items()
            ]
    return []


def _holds(name: str, found: Evidence) -> bool:
    assert found.noise is not None
    mean, _, high = found.noise
    enough = LEAST if name == "centred_share" else TIMES * mean
    return found.value > high and found.value >= enough


def _sentence(evidence: Sequence[Evidence], held: dict[str, list[bool]], models: Sequence[str]) -> str:
    texts = []
    for name, what in (("centred_share", "the mean holds"), ("top_energy_share", "the 5 largest dimensions hold")):
        chosen = [one for one in evidence if one.quantity == NUMBERS[name]]
        noise = between(one.noise[0] for one in chosen if one.noise)
        texts.append(f"{what} {between(one.value for one in chosen)} of the mean square (noise: {noise})")
    sets = plural(len(held["centred_share"]), "data set")
    off, few = sum(held["centred_share"]), sum(held["top_energy_share"])
    counts = f"On {off} of {sets} it is not centred, on {few} it is concentrated"
    return f"In {', '.join(models)}, {' and '.join(texts)}. {counts}."
