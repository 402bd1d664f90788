"""From runs to the numbers and verdicts of a report; every output shows these and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clsnorm.errors import InputError, require_positive, require_whole
from clsnorm.report.comparisons import TUNED, Comparison, compare, edges, protocols
from clsnorm.report.inference import sign_flips
from clsnorm.report.inference.claim_family import claims
from clsnorm.report.inference.detectable import POWER, detectable, seeds_to_decide, seeds_to_find
from clsnorm.report.inference.over_sets import OverSets, over_sets
from clsnorm.report.inference.verdicts import ALPHA, Verdict, verdict
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.example_table import ExampleTable
from clsnorm.report.sweeps.pooling import by_task, notes, require_arm, require_poolable, without_copies
from clsnorm.report.sweeps.run_row import DAMAGED, RunRow, read_rows
from clsnorm.report.sweeps.searched_runs import after_search, mark_searched

MARGIN = 0.5  # points


@dataclass(frozen=True)
class Options:
    """What a report is asked for.

    Attributes:
        baseline: The arm that others are compared with.
        margin: In points; a difference below it does not matter.
        by: Settings that divide data sets.
        arms: Settings that divide arms.
        draws: Resamples of each bootstrap; 0 for none.
    """

    baseline: str = "identity"
    margin: float = MARGIN
    by: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    draws: int = 2_000

    def __post_init__(self) -> None:
        require_positive("--margin", self.margin)
        require_whole("--draws", self.draws, least=0)


@dataclass
class Answer:
    """The verdict on one arm: on one data set, or over all.

    Attributes:
        arm: Name.
        task: Data set; empty over all of them.
        difference_p: Adjusted for the family.
        equivalence_p: Adjusted for the family.
        verdict: By these.
        comparison: On one data set.
        over: Over data sets.
        raw_p: Before adjustment: of no difference, and of equivalence.
    """

    arm: str
    task: str
    raw_p: tuple[float, float]
    comparison: Comparison | None = None
    over: OverSets | None = None
    difference_p: float = math.nan
    equivalence_p: float = math.nan
    verdict: Verdict = Verdict.UNDECIDED
    max_t_p: float = math.nan

    @property
    def mean(self) -> float:
        return self.comparison.mean if self.comparison else self.over.mean if self.over else math.nan

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Returns the interval of the mean difference, in points; NaN if there is none."""
        if self.over is not None:
            return self.over.interval(level)
        if self.comparison is None or self.comparison.analysis is None or self.comparison.untested:
            return math.nan, math.nan
        low, high = self.comparison.analysis.interval(level)
        return float(low), float(high)


@dataclass
class Conclusions:
    """All of a report.

    Attributes:
        options: What was asked for.
        rows: All runs, also those that are not finished.
        notes: What is unequal, missing or unpaired.
        family: The declared family: each arm on each data set, and over all of them, at tuned rates.
        others: Comparisons under other protocols, outside the family.
        tables: The report examples by data set.
        rates: The tuned learning rate by data set and arm.
    """

    options: Options
    rows: list[RunRow]
    notes: list[str]
    family: list[Answer]
    others: list[Comparison] = field(default_factory=list)
    tables: dict[str, ExampleTable] = field(default_factory=dict)
    rates: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        return list(by_task(row for row in self.rows if row.finished))

    def of_task(self, task: str) -> list[Answer]:
        """Returns the answers on one data set, or with "" over all."""
        return [answer for answer in self.family if answer.task == task]

    def by_arm(self) -> dict[tuple[str, str], list[RunRow]]:
        """Returns the finished runs of each data set and arm at all learning rates, each configuration once."""
        found: dict[tuple[str, str], list[RunRow]] = {}
        for row in without_copies(row for row in self.rows if row.finished):
            found.setdefault((row.task, row.arm), []).append(row)
        return dict(sorted(found.items()))

    def tuned(self) -> dict[tuple[str, str], list[RunRow]]:
        """Returns the finished runs of each data set and arm at the tuned learning rate, each seed once.

        After a search, these are its final runs.
        """
        searched = {row.task: row.search for row in self.rows if row.search and row.arm == self.options.baseline}
        rates = {(task, arm): lr for task, chosen in self.rates.items() for arm, lr in chosen.items()}
        found = {
            key: [row for row in rows if rates.get(key) == row.lr and row.search == searched.get(key[0], row.search)]
            for key, rows in self.by_arm().items()
        }
        return {key: rows for key, rows in found.items() if rows}

    def states(self) -> dict[str, int]:
        """Returns how many runs are finished, unfinished, crashed, damaged, and of the finished diverged, failed."""
        counts = Counter(row.state for row in self.rows)
        done = [row for row in self.rows if row.finished]
        counts["diverged"] = sum(row.results["status"] == "diverged" for row in done)
        counts["aborted"] = sum(row.results["status"] == "aborted" for row in done)
        counts["failed"] = sum(row.failed for row in done)
        counts["collapsed"] = sum(bool(row.results.get("collapsed")) for row in done)
        return dict(counts)


def answer(folders: Sequence[Path], options: Options | None = None) -> Conclusions:
    """Reads runs, checks what may be pooled, and compares each arm with the baseline.

    Raises:
        InputError: If there are no runs, or some must not be pooled.
    """
    rows = read_rows(folders)
    mark_searched(rows)
    return answer_rows(rows, options or Options())


def answer_rows(rows: list[RunRow], options: Options) -> Conclusions:
    """As `answer`, from runs that were read."""
    named = [row for row in rows if row.state != DAMAGED and "choices" in row.blocks]
    name_arms(named, by=options.by, arms=options.arms)
    done = [row for row in named if row.finished]
    if not done:
        raise InputError(f"Expected finished runs, but of {len(rows)} none has results.json. Wait for the sweep")
    require_arm(options.baseline, done)
    require_poolable(named, baseline=options.baseline, separated=(*options.by, *options.arms))
    found = Conclusions(options, rows, notes(named, baseline=options.baseline), [])
    for task, members in by_task(without_copies(done)).items():
        table = found.tables.setdefault(task, ExampleTable(task))
        for name, chosen in protocols(members, options.baseline).items():
            compared = compare(task, members, options.baseline, table, name, chosen)
            if name == TUNED:
                found.rates[task] = dict(chosen)
                found.family += [_answer_of(one, options.margin) for one in compared]
            else:
                found.others += compared
        if searched := after_search(members, options.baseline):
            found.notes.append(
                f"{task}: learning rates were chosen on select by {searched[0].search}, seeds that are not compared"
            )
        else:
            found.notes += [f"{task}: {sentence}" for sentence in edges(members, found.rates[task])]
        if table.note:
            found.notes.append(f"{task}: intervals are over seeds alone, not over examples: {table.note}")
    found.family += _over_all(found.family, options.margin)
    _adjust(found.family)
    return found


def _answer_of(found: Comparison, margin: float) -> Answer:
    analysis = found.analysis
    p = (math.nan, math.nan)
    if analysis is not None and not found.untested:
        p = float(analysis.p_value()), float(analysis.equivalence_p(margin))
    return Answer(found.arm, found.task, p, comparison=found)


def _over_all(single: Sequence[Answer], margin: float) -> list[Answer]:
    """Returns the answers over data sets, for arms that were compared on all of at least two."""
    tasks = {one.task for one in single}
    found = []
    for arm in sorted({one.arm for one in single}):
        mine = [one.comparison for one in single if one.arm == arm and one.comparison and not one.comparison.untested]
        if len(mine) < 2 or len(mine) < len(tasks):
            continue
        errors = np.array([float(one.analysis.standard_error) for one in mine if one.analysis])
        over = over_sets(np.array([one.mean for one in mine]), errors)
        found.append(Answer(arm, "", (over.p_value(), over.equivalence_p(margin)), over=over))
    return found


def _adjust(family: list[Answer]) -> None:
    """Adjusts the p values of all claims as one family, and gives the verdicts."""
    if not family:
        return
    raw = np.array([one.raw_p for one in family])
    for one, differs, equal in zip(family, *claims(raw[:, 0], raw[:, 1]), strict=True):
        one.difference_p, one.equivalence_p = float(differs), float(equal)
        one.verdict = verdict(one.mean, one.difference_p, one.equivalence_p)
    compared = [one for one in family if one.comparison is not None and one.comparison.analysis is not None]
    seeds = sorted({seed for one in compared for seed in one.comparison.seeds})  # type: ignore[union-attr]
    if len(seeds) < 2:
        return
    by_seed = np.full((len(compared), len(seeds)), np.nan)
    for place, one in enumerate(compared):
        assert one.comparison is not None
        by_seed[place, [seeds.index(seed) for seed in one.comparison.seeds]] = one.comparison.by_seed
    for one, p in zip(compared, sign_flips.max_t(by_seed), strict=True):
        one.max_t_p = float(p)


def undecided_text(found: Answer, margin: float, family: int) -> str:
    """Returns what an undecided comparison could have seen, and how many seeds, examples or data sets would decide."""
    alpha = ALPHA / max(family, 1)
    if found.over is not None:
        smallest = found.over.detectable(alpha=alpha, power=POWER)
        return f"smallest detectable difference {smallest:.2f} points; more data sets would decide"
    if found.comparison is not None and found.comparison.untested:
        return found.comparison.untested
    analysis = found.comparison.analysis if found.comparison else None
    if analysis is None:
        return ""
    text = f"smallest detectable difference {detectable(analysis, alpha=alpha):.2f} points"
    finds = seeds_to_find(analysis, found.mean, alpha=alpha)
    if finds is not None and finds > analysis.seeds:
        text += f"; if the true difference is the observed one, about {_about(finds)} seeds in all would show it"
    needed = seeds_to_decide(analysis, margin, alpha=alpha)
    if needed is None:
        return f"{text}; whether it exceeds {margin:g} points, only more report examples would decide"
    return f"{text}; whether it exceeds {margin:g} points, about {_about(needed)} seeds in all would decide"


def _about(count: int) -> str:
    """Returns a rough number: two digits are more than its variances deserve."""
    size = 10 ** max(len(str(count)) - 2, 0)
    return f"{round(count / size) * size:,}"
