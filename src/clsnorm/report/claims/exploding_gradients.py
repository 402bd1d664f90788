"""Claim 2: because of that bias gradients explode and training fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clsnorm.pages.numbers import plural
from clsnorm.report.answers import Conclusions
from clsnorm.report.claims.paper_claim import Evidence, PaperClaim, Support, percent
from clsnorm.report.inference.binomials import clopper_pearson, paired_interval, paired_p
from clsnorm.report.inference.claim_family import holm
from clsnorm.report.inference.crossed import crossed
from clsnorm.report.inference.verdicts import ALPHA
from clsnorm.report.sweeps.pooling import recurring, without_copies
from clsnorm.report.sweeps.recorded import LEAST_STEPS, exploded
from clsnorm.report.sweeps.run_row import LR, RunRow

CLAIM = "Because of this bias, gradients of [CLS] explode and training fails."
RARE = 0.1  # share of runs up to which explosions and failures are rare
EARLY = "grad/steps/h/max/start/max"  # largest norm of an example's gradient at h in the first tenth of the steps
Unit = tuple[str, tuple[int, ...]]  # data set and seeds
Bad = Mapping[str, bool]  # by a run's folder: whether its gradients exploded or its training failed


class _Outcomes(NamedTuple):
    """Which runs exploded or failed, if those that cannot show an explosion had none, and if all of them had one."""

    least: Bad
    most: Bad


def exploding_gradients(found: Conclusions) -> PaperClaim:
    """Returns the claim, judged from failed runs and explosions of the baseline at all learning rates.

    Not rare: in some data set and learning rate the rate's interval, corrected for their number, is above `RARE`.
    Rare: the interval of the share of seeds with an explosion or failure at any rate is below it. Supported if they are
    not rare and some arm has fewer (exact paired test, Holm over arms); mixed if no arm has; refuted if they are rare.

    Runs that cannot show an explosion (`clsnorm.report.sweeps.recorded.exploded`) are counted against each of these
    statements: as if they had none for "not rare", as if they had one for "rare", and so in both arms.
    """
    rows = without_copies(row for row in found.rows if row.finished)
    baseline = found.options.baseline
    base = [row for row in rows if row.arm == baseline]
    if recurring(row.seeds for row in base):
        return PaperClaim(2, CLAIM, Support.UNKNOWN, "Runs share seeds of a stream, so they are not independent.", [])
    seen = {str(row.path): True if row.failed else exploded(row) for row in rows}
    least, most = ({key: one in shown for key, one in seen.items()} for shown in ((True,), (True, None)))
    bad = _Outcomes(least, most)
    cells, common = _rates(base, bad)
    evidence, rare, text = _share(base, bad)
    fewer, more, tested = _arms(rows, baseline, bad)
    support = Support.UNKNOWN
    if common:
        support = Support.SUPPORTED if fewer else Support.MIXED
    elif rare:
        support = Support.REFUTED
    blind = [row for row in rows if seen[str(row.path)] is None]
    sentence = " ".join(filter(None, (text, _effect(fewer, more), _blindness(blind, base))))
    return PaperClaim(2, CLAIM, support, sentence, [*evidence, *cells, *tested, *_early(rows, baseline)])


def _blindness(blind: Sequence[RunRow], base: Sequence[RunRow]) -> str:
    """Returns how many runs of the baseline cannot show an explosion, and of which other arms some cannot."""
    if not blind:
        return ""
    of_base = sum(row.arm == base[0].arm for row in blind)
    others = sorted({row.arm for row in blind} - {base[0].arm})
    where = f"{of_base} of {len(base)} runs of the baseline" + (f" and runs of {', '.join(others)}" if others else "")
    return (
        f"No explosion can be seen in {where}: they recorded no gradients of single examples "
        f"(`callbacks=gradient_norms`), or have fewer than {LEAST_STEPS} steps. They may have had some or none."
    )


def _rates(base: Sequence[RunRow], bad: _Outcomes) -> tuple[list[Evidence], bool]:
    """Returns the rate of each data set and learning rate, and whether one of them is above `RARE`."""
    groups = sorted({(row.task, row.lr) for row in base})
    cells, common = [], False
    for task, lr in groups:
        mine = [row for row in base if (row.task, row.lr) == (task, lr)]
        least, most = (sum(one[str(row.path)] for row in mine) for one in bad)
        common |= clopper_pearson(least, len(mine), 1 - ALPHA / len(groups))[0] > RARE
        what = f"share of exploded or failed runs at {LR}={lr:g}"
        cells.append(Evidence(task, mine[0].arm, what, least / len(mine), _ends(least, most, len(mine)), runs=mine))
    return cells, common


def _ends(least: int, most: int, count: int) -> tuple[float, float]:
    """Returns the ends of the interval of a rate that is between two shares."""
    return clopper_pearson(least, count)[0], clopper_pearson(most, count)[1]


def _units(rows: Sequence[RunRow], bad: Bad) -> dict[Unit, bool]:
    """Returns for each data set and seed whether a run at any learning rate exploded or failed."""
    units: dict[Unit, bool] = {}
    for row in rows:
        units[row.task, row.seeds] = units.get((row.task, row.seeds), False) or bad[str(row.path)]
    return units


def _share(base: Sequence[RunRow], bad: _Outcomes) -> tuple[list[Evidence], bool, str]:
    units = _units(base, bad.least)
    least, most = (sum(_units(base, one).values()) for one in bad)
    low, high = _ends(least, most, len(units))
    what = "share of seeds with an explosion or failure at any learning rate"
    text = (
        f"Gradients exploded or training failed in {sum(bad.least[str(row.path)] for row in base)} of {len(base)} runs "
        f"of the baseline, at {least} of {len(units)} pairs of data set and seed (95 % interval {percent(low)} to "
        f"{percent(high)}; up to {percent(RARE)} is called rare)."
    )
    arm = base[0].arm if base else ""
    return [Evidence("", arm, what, least / max(len(units), 1), (low, high), runs=base)], high < RARE, text


class _Contrast(NamedTuple):
    """Seeds at which an arm alone, and the baseline alone, exploded or failed, of how many, and both in words."""

    only_arm: int
    only_baseline: int
    units: int
    text: str

    @classmethod
    def of(cls, arm: dict[Unit, bool], baseline: dict[Unit, bool]) -> _Contrast:
        sides = ((arm, baseline), (baseline, arm))
        only_arm, only_baseline = (sum(one[unit] and not other[unit] for unit in one) for one, other in sides)
        text = f"{sum(arm.values())} of {len(arm)} against {sum(baseline.values())}"
        return cls(only_arm, only_baseline, len(arm), text)

    @property
    def ends(self) -> tuple[float, float]:
        return paired_interval(self.only_arm, self.only_baseline, self.units)

    @property
    def difference(self) -> int:
        return self.only_arm - self.only_baseline

    @property
    def p(self) -> float:
        return paired_p(self.only_arm, self.only_baseline)


def _arms(rows: Sequence[RunRow], baseline: str, bad: _Outcomes) -> tuple[list[str], list[str], list[Evidence]]:
    """Returns the arms with fewer and with more such seeds, in words, and the differences of their shares."""
    by_arm = {arm: [row for row in rows if row.arm == arm] for arm in sorted({row.arm for row in rows})}
    arms: list[tuple[str, bool, float]] = []  # in words, whether it has fewer, p
    evidence = []
    for arm, mine in by_arm.items():
        shared = {(row.task, row.seeds, row.lr) for row in mine}
        shared &= {(row.task, row.seeds, row.lr) for row in by_arm[baseline]}
        if arm == baseline or not shared or recurring({seeds for _, seeds, _ in shared}):
            continue
        kept = {name: [r for r in by_arm[name] if (r.task, r.seeds, r.lr) in shared] for name in (arm, baseline)}
        least, most = ({name: _units(found, one) for name, found in kept.items()} for one in bad)
        high, low = _Contrast.of(most[arm], least[baseline]), _Contrast.of(least[arm], most[baseline])
        known = _Contrast.of(least[arm], least[baseline])
        what = "difference of this share to the baseline's"
        ends = (low.ends[0], high.ends[1])
        evidence.append(Evidence("", arm, what, known.difference / known.units, ends, runs=mine))
        fewer, more = high.difference < 0, low.difference > 0
        failed = plural(sum(row.failed for row in kept[arm]), "run")
        arms.append((f"{arm} ({known.text}; {failed} failed)", fewer, high.p if fewer else low.p if more else 1.0))
    hits = [one for one, p in zip(arms, holm(np.array([p for _, _, p in arms])), strict=True) if p <= ALPHA]
    return [text for text, less, _ in hits if less], [text for text, less, _ in hits if not less], evidence


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
