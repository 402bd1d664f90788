"""Claim 2: because of that bias gradients explode and training fails."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clsnorm.report.answers import Conclusions
from clsnorm.report.claims.paper_claim import Evidence, PaperClaim, Support, percent
from clsnorm.report.inference.binomials import clopper_pearson, paired_interval, paired_p
from clsnorm.report.inference.claim_family import holm
from clsnorm.report.inference.crossed import crossed
from clsnorm.report.inference.verdicts import ALPHA
from clsnorm.report.sweeps.pooling import recurring, without_copies
from clsnorm.report.sweeps.recorded import exploded
from clsnorm.report.sweeps.run_row import LR, RunRow

CLAIM = "Because of this bias, gradients of [CLS] explode and training fails."
RARE = 0.1  # share of runs up to which explosions and failures are rare
EARLY = "grad/steps/h/max/start/max"  # largest norm of an example's gradient at h in the first tenth of the steps
Unit = tuple[str, tuple[int, ...]]  # data set and seeds
Bad = dict[Unit, bool]


def exploding_gradients(found: Conclusions) -> PaperClaim:
    """Returns the claim, judged from failed runs and explosions of the baseline at all learning rates.

    Not rare: in some data set and learning rate the rate's interval, corrected for their number, is above `RARE`.
    Rare: the interval of the share of seeds with an explosion or failure at any rate is below it. Supported if they are
    not rare and some arm has fewer (exact paired test, Holm over arms); mixed if no arm has; refuted if they are rare.
    """
    rows = without_copies(row for row in found.rows if row.finished)
    base = [row for row in rows if row.arm == found.options.baseline]
    if recurring(row.seeds for row in base):
        return PaperClaim(2, CLAIM, Support.UNKNOWN, "Runs share seeds of a stream, so they are not independent.", [])
    seen = {str(row.path): exploded(row) for row in rows}
    bad = {str(row.path): row.failed or bool(seen[str(row.path)]) for row in rows}
    cells, common = _rates(base, bad)
    evidence, rare, text = _share(base, bad)
    fewer, more, tested = _arms(rows, found.options.baseline, bad)
    support = Support.UNKNOWN
    if common:
        support = Support.SUPPORTED if fewer else Support.MIXED
    elif rare:
        support = Support.REFUTED
    unseen = sum(seen[str(row.path)] is None for row in base)
    sentence = f"{text} {_effect(fewer, more)}"
    if unseen:
        sentence += f" Of {len(base)} baseline runs {unseen} did not record gradients (`callbacks=gradient_norms`)."
    return PaperClaim(2, CLAIM, support, sentence, [*evidence, *cells, *tested, *_early(rows, found.options.baseline)])


def _rates(base: Sequence[RunRow], bad: dict[str, bool]) -> tuple[list[Evidence], bool]:
    """Returns the rate of each data set and learning rate, and whether one of them is above `RARE`."""
    groups = sorted({(row.task, row.lr) for row in base})
    cells, common = [], False
    for task, lr in groups:
        mine = [row for row in base if (row.task, row.lr) == (task, lr)]
        count = sum(bad[str(row.path)] for row in mine)
        common |= clopper_pearson(count, len(mine), 1 - ALPHA / len(groups))[0] > RARE
        what = f"share of exploded or failed runs at {LR}={lr:g}"
        ends = clopper_pearson(count, len(mine))
        cells.append(Evidence(task, mine[0].arm, what, count / len(mine), ends, runs=mine))
    return cells, common


def _units(rows: Sequence[RunRow], bad: dict[str, bool]) -> Bad:
    """Returns for each data set and seed whether a run at any learning rate exploded or failed."""
    units: Bad = {}
    for row in rows:
        units[row.task, row.seeds] = units.get((row.task, row.seeds), False) or bad[str(row.path)]
    return units


def _share(base: Sequence[RunRow], bad: dict[str, bool]) -> tuple[list[Evidence], bool, str]:
    units = _units(base, bad)
    count, low, high = sum(units.values()), *clopper_pearson(sum(units.values()), len(units))
    what = "share of seeds with an explosion or failure at any learning rate"
    text = (
        f"Gradients exploded or training failed in {sum(bad[str(row.path)] for row in base)} of {len(base)} runs of "
        f"the baseline, at {count} of {len(units)} seeds of a data set (95 % interval {percent(low)} to "
        f"{percent(high)}; up to {percent(RARE)} is called rare)."
    )
    arm = base[0].arm if base else ""
    return [Evidence("", arm, what, count / max(len(units), 1), (low, high), runs=base)], high < RARE, text


def _arms(rows: Sequence[RunRow], baseline: str, bad: dict[str, bool]) -> tuple[list[str], list[str], list[Evidence]]:
    """Returns the arms with fewer and with more such seeds, and the differences of their shares."""
    by_arm = {arm: [row for row in rows if row.arm == arm] for arm in sorted({row.arm for row in rows})}
    arms, p_values, signs, evidence = [], [], [], []
    for arm, mine in by_arm.items():
        shared = {(row.task, row.seeds, row.lr) for row in mine}
        shared &= {(row.task, row.seeds, row.lr) for row in by_arm[baseline]}
        pair = [
            _units([row for row in by_arm[name] if (row.task, row.seeds, row.lr) in shared], bad)
            for name in (arm, baseline)
        ]
        if arm == baseline or not shared or recurring(seeds for _, seeds in pair[0]):
            continue
        only_arm, only_baseline = (sum(a[unit] and not b[unit] for unit in a) for a, b in (pair, pair[::-1]))
        arms.append(arm)
        p_values.append(paired_p(only_arm, only_baseline))
        signs.append(only_arm - only_baseline)
        ends, what = (
            paired_interval(only_arm, only_baseline, len(pair[0])),
            "difference of this share to the baseline's",
        )
        evidence.append(Evidence("", arm, what, signs[-1] / len(pair[0]), ends, runs=mine))
    hits = {arm: sign for arm, p, sign in zip(arms, holm(np.array(p_values)), signs, strict=True) if p <= ALPHA}
    return [arm for arm in hits if hits[arm] < 0], [arm for arm in hits if hits[arm] > 0], evidence


def _effect(fewer: Sequence[str], more: Sequence[str]) -> str:
    parts = [f"{', '.join(arms)} had {word}." for arms, word in ((fewer, "fewer"), (more, "more")) if arms]
    return " ".join(parts) or "No arm was shown to have fewer or more."


def _early(rows: Sequence[RunRow], baseline: str) -> list[Evidence]:
    """Returns each arm's largest early gradient at h over the baseline's: geometric mean over paired seeds, t."""
    values = {(row.arm, row.task, row.lr, row.seeds): row.metric(EARLY) for row in rows}
    evidence = []
    for arm in sorted({row.arm for row in rows} - {baseline}):
        logs: dict[tuple[int, ...], list[float]] = {}
        for (name, task, lr, seeds), value in values.items():
            other = values.get((baseline, task, lr, seeds), math.nan)
            if name == arm and 0 < value < math.inf and 0 < other < math.inf:
                logs.setdefault(seeds, []).append(math.log(value / other))
        if len(logs) > 1 and not recurring(logs):
            analysis = crossed(np.array([[np.mean(found)] for found in logs.values()]))
            with np.errstate(over="ignore"):  # an end may be infinite
                value, low, high = (float(np.exp(log)) for log in (analysis.mean, *analysis.interval()))
            what = "largest early gradient at h over the baseline's"
            evidence.append(Evidence("", arm, what, value, (low, high)))
    return evidence
