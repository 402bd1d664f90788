"""Each arm against the baseline: on each data set, at tuned and at equal learning rates, and over all data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clsnorm.report.inference import bootstrap, sign_flips
from clsnorm.report.inference.binomials import paired_interval, paired_p
from clsnorm.report.inference.crossed import Crossed, crossed
from clsnorm.report.inference.medians import brown_forsythe, median_interval
from clsnorm.report.sweeps.arm_names import rates
from clsnorm.report.sweeps.example_table import ExampleTable
from clsnorm.report.sweeps.pooling import recurring
from clsnorm.report.sweeps.run_row import RunRow
from clsnorm.report.sweeps.searched_runs import after_search

Array = np.ndarray
POINTS = 100.0  # scores are shown in points
TUNED = "tuned"  # protocol: each arm at its best learning rate on select; else "lr=..."
Seeds = tuple[int, ...]


@dataclass
class Comparison:
    """An arm against the baseline on one data set, over paired seeds.

    Differences are in points of the monitored metric, and positive where the arm is better.

    Attributes:
        task: Data set.
        arm: Name.
        protocol: ``tuned``, or ``lr=`` and the learning rate of both.
        lr: Of the arm.
        baseline_lr: Of the baseline.
        seeds: The paired ones.
        differences: ``(S, E)``; E is 1 if scores do not come apart into examples.
        analysis: Of the differences; None with fewer than two seeds, or if these are not independent.
        failed: Of each paired seed: whether the arm's run failed, and the baseline's.
        runs: The arm's and the baseline's, by paired seed.
    """

    task: str
    arm: str
    protocol: str
    lr: float
    baseline_lr: float
    seeds: list[Seeds]
    differences: Array
    analysis: Crossed | None
    failed: Array
    runs: list[tuple[RunRow, RunRow]] = field(repr=False)

    @property
    def by_seed(self) -> Array:
        return self.differences.mean(1)

    @property
    def mean(self) -> float:
        return float(self.by_seed.mean()) if len(self.seeds) else math.nan

    @property
    def untested(self) -> str:
        """Why there is no test, in a few words; empty if there is one.

        Two arms whose runs all fail may give the same constant answer. That is no evidence that they are equivalent.
        """
        if len(self.seeds) < 2:
            return "fewer than two paired seeds"
        if streams := recurring(self.seeds):
            return (
                f"seeds of {', '.join(streams)} recur in several combinations, so these runs are not independent; "
                "sweep over `seed`, which moves all of them, to decide"
            )
        if self.failed.all():
            return "all runs of both arms failed"
        if len(self.seeds) == 2 and np.ptp(self.differences) == 0:
            return "two seeds with the same difference at each example say nothing of others"
        return ""

    def scores(self) -> tuple[Array, Array]:
        """Returns the scores of arm and baseline by seed, in points; a run without a score has the majority's."""
        return tuple(np.array([score(pair[k]) for pair in self.runs]) for k in (0, 1))  # type: ignore[return-value]

    @property
    def _independent(self) -> int:
        """Number of independent pairs of runs, which all tests need; 0 if they share seeds of a stream."""
        return len(self.seeds) if self.analysis is not None else 0

    def without_failed(self) -> Crossed | None:
        """Returns the analysis of the seeds at which neither run failed; None with fewer than two."""
        kept = self.differences[~self.failed.any(1)]
        return crossed(kept) if len(kept) > 1 and self._independent else None

    def failure_test(self) -> tuple[float, tuple[float, float]]:
        """Returns p of equal failure rates, and the interval of their difference, arm minus baseline."""
        if not self._independent:
            return math.nan, (math.nan, math.nan)
        only_arm = int((self.failed[:, 0] & ~self.failed[:, 1]).sum())
        only_baseline = int((self.failed[:, 1] & ~self.failed[:, 0]).sum())
        return paired_p(only_arm, only_baseline), paired_interval(only_arm, only_baseline, len(self.seeds))

    def flip_p(self) -> float:
        """Returns p of the sign-flip test over seeds."""
        return float(sign_flips.sign_flip_p(self.by_seed)) if self._independent > 1 else math.nan

    def spread_p(self) -> float:
        """Returns p of equal spreads of the arm's and the baseline's scores."""
        return brown_forsythe(self.scores()) if self._independent > 2 else math.nan

    def medians(self) -> tuple[float, float, float]:
        """Returns the difference of medians, and the interval of the median of paired differences."""
        if not self.seeds:
            return math.nan, math.nan, math.nan
        arm, baseline = self.scores()
        sign = -1.0 if self.runs[0][0].mode == "min" else 1.0
        low, high, _ = median_interval(self.by_seed) if self._independent else (math.nan,) * 3
        return sign * float(np.median(arm) - np.median(baseline)), low, high

    def bootstrap_interval(self, *, draws: int) -> tuple[float, float]:
        """Returns the studentized interval; NaN with fewer seeds than it needs."""
        if not self._independent:
            return math.nan, math.nan
        return bootstrap.studentized_interval(self.differences, draws=draws)


def score(row: RunRow) -> float:
    """Returns a run's score in points; that of the constant prediction if it has none."""
    found = row.score
    if math.isnan(found):
        majority = row.results.get("majority")
        found = math.nan if majority is None else float(majority)
    return POINTS * found


def tuned_rate(rows: Sequence[RunRow]) -> float:
    """Returns the learning rate with the best mean score on select, over the seeds that all rates have.

    The report split is not looked at. Of equally good rates the smallest is taken. A run without a score counts as
    the worst possible one.
    """
    by_rate = {lr: {row.seeds: row for row in rows if row.lr == lr} for lr in rates(rows)}
    shared = set.intersection(*(set(found) for found in by_rate.values()))
    if not shared:
        shared = set.union(*(set(found) for found in by_rate.values()))
    sign = -1.0 if rows[0].mode == "min" else 1.0

    def quality(lr: float) -> float:
        scores = [sign * found.select_score for seed, found in by_rate[lr].items() if seed in shared]
        return float(np.mean([-math.inf if math.isnan(one) else one for one in scores])) if scores else -math.inf

    return max(by_rate, key=lambda lr: (quality(lr), -lr))


def edges(rows: Sequence[RunRow], chosen: Mapping[str, float]) -> list[str]:
    """Returns a sentence for each end of the grid of learning rates at which arms are best: it may be too short."""
    found = []
    for end, which, beyond in ((max, "largest", "larger"), (min, "smallest", "smaller")):
        grids = {arm: rates(row for row in rows if row.arm == arm) for arm in sorted(chosen)}
        arms = [arm for arm, grid in grids.items() if len(grid) > 1 and chosen[arm] == end(grid)]
        if arms:
            tried = " or ".join(f"{lr:g}" for lr in sorted({chosen[arm] for arm in arms}))
            found.append(f"the {which} learning rate, {tried}, is best for {', '.join(arms)}: try {beyond} ones, too")
    return found


def protocols(rows: Sequence[RunRow], baseline: str) -> dict[str, dict[str, float]]:
    """Returns the learning rate of each arm under each protocol.

    ``tuned`` holds the arms that tried the same rates as the baseline: any other comparison would reward the arm with
    more trials. With one rate only, it is that one. If a search has chosen the baseline's rate, ``tuned`` holds the
    arms that were searched with the same space, budget and seeds, at what was chosen for each.
    """
    by_arm = {arm: [row for row in rows if row.arm == arm] for arm in sorted({row.arm for row in rows})}
    grids = {arm: rates(members) for arm, members in by_arm.items()}
    grid = grids[baseline]
    searched = {row.arm: row.lr for row in after_search(rows, baseline)}
    found = {TUNED: searched or {arm: tuned_rate(by_arm[arm]) for arm in by_arm if grids[arm] == grid}}
    if any(len(values) > 1 for values in grids.values()) or len(set(grids.values())) > 1:
        for lr in grid:
            found[f"lr={lr:g}"] = {arm: lr for arm in by_arm if lr in grids[arm]}
    return {name: chosen for name, chosen in found.items() if name == TUNED or len(chosen) > 1}


def compare(
    task: str, rows: Sequence[RunRow], baseline: str, table: ExampleTable, protocol: str, chosen: Mapping[str, float]
) -> list[Comparison]:
    """Returns each arm against the baseline under one protocol; after a search, over its final runs alone."""
    rows = (after_search(rows, baseline) if protocol == TUNED else []) or rows
    members = {arm: {row.seeds: row for row in rows if row.arm == arm and row.lr == lr} for arm, lr in chosen.items()}
    found = []
    for arm in sorted(set(chosen) - {baseline}):
        seeds = sorted(set(members[arm]) & set(members[baseline]))
        pairs = [(members[arm][seed], members[baseline][seed]) for seed in seeds]
        d = differences(pairs, table)
        found.append(
            Comparison(
                task=task,
                arm=arm,
                protocol=protocol,
                lr=chosen[arm],
                baseline_lr=chosen[baseline],
                seeds=seeds,
                differences=d,
                analysis=crossed(d) if len(seeds) > 1 and not recurring(seeds) else None,
                failed=np.array([[one.failed for one in pair] for pair in pairs], dtype=bool).reshape(-1, 2),
                runs=pairs,
            )
        )
    return found


def differences(pairs: Sequence[tuple[RunRow, RunRow]], table: ExampleTable) -> Array:
    """Returns ``(S, E)`` gains in points; one column of scores if examples are not known for all runs."""
    if not pairs:
        return np.zeros((0, 1))
    sign = -1.0 if pairs[0][0].mode == "min" else 1.0
    values = [(table.values(arm), table.values(baseline)) for arm, baseline in pairs]
    if any(part is None for pair in values for part in pair):
        return sign * np.array([[score(arm) - score(baseline)] for arm, baseline in pairs])
    return sign * POINTS * np.stack([np.subtract(arm, base, dtype=np.float64) for arm, base in values])  # type: ignore[arg-type]
