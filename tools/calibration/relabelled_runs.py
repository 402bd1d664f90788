"""Coverage and error rates where the truth is known, since both arms are one: real runs, relabelled at random.

Runs that differ in their seed alone are drawn without replacement and called an arm and its baseline. Both come from
one population, so the true difference is 0, on each row too. What is real is the distribution over seeds: scores of
real models, with whatever skewness, outliers and dependence between rows they have. Three things are not as in a sweep:

- No row is harder for one arm than for the other, so nothing is learned about the part of the error that comes from
  examples. The simulations vary that part.
- The arms of a sweep share seeds, and so the order of examples; relabelled runs share none.
- All draws use the same runs, so the shares are about these runs; with half of them in each arm, draws differ little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import clsnorm.report
from calibration.measured import SEEDS, Measured, covers, falsely_equivalent, moved
from clsnorm.report.inference import claim_family, sign_flips
from clsnorm.report.inference.crossed import Crossed, crossed
from clsnorm.report.sweeps.arm_names import SETTING_GROUPS, varying

REAL = "real runs of one arm"  # how the description of these rows begins; rows and seeds: see above
DRAWS = 4000
ARMS = 5  # of a family, the baseline included; only where there are runs enough


def read_scores(folder: Path) -> tuple[str, np.ndarray]:
    """Returns the data set of the runs in ``folder``, and which report rows each run has right, ``(runs, examples)``.

    Raises:
        SystemExit: They are no classifiers of one arm, data set and learning rate, or differ in more than their seeds.
    """
    loaded = clsnorm.report.load(folder)
    rows = loaded.examples
    if other := sorted(varying(loaded.rows, SETTING_GROUPS)):
        raise SystemExit(
            f"Expected runs that differ in their seeds alone, but got several values of {', '.join(other)}"
        )
    if "predicted" not in rows or len({row.seeds for row in loaded.rows}) < len(loaded.rows):
        raise SystemExit("Expected classifiers whose seeds all differ")
    kinds = rows[["task", "arm", "lr"]].drop_duplicates()
    if len(kinds) != 1:
        raise SystemExit(
            f"Expected runs of one arm, data set and learning rate, but got\n{kinds.to_string(index=False)}"
        )
    rows = rows.assign(right=rows["label"] == rows["predicted"])
    return str(kinds["task"].iloc[0]), rows.pivot(index="run", columns="example_id", values="right").to_numpy(float)


def relabelled(scores: np.ndarray, seeds: int, arms: int, draws: int) -> Iterator[np.ndarray]:
    """Yields ``(arms, seeds, examples)`` for each draw: runs drawn without replacement."""
    random = np.random.default_rng([8, seeds, arms])
    for _ in range(draws):
        yield scores[random.permutation(len(scores))[: arms * seeds]].reshape(arms, seeds, -1)


def real_rows(task: str, scores: np.ndarray, seeds: int, draws: int = DRAWS) -> Iterator[Measured]:
    """Yields the rows of two arms, and of a family of `ARMS`, of ``seeds`` seeds each, where there are enough runs."""
    world = f"{REAL} on {task}: {len(scores)} runs, {scores.shape[1]:,} rows"
    if 2 * seeds <= len(scores):
        yield from _two_arms(world, scores, seeds, draws)
    if ARMS * seeds <= len(scores):
        yield from _family(world, scores, seeds, draws)


def _two_arms(world: str, scores: np.ndarray, seeds: int, draws: int) -> Iterator[Measured]:
    differences = (arm - baseline for arm, baseline in relabelled(scores, seeds, 2, draws))
    pairs = [(crossed(table), table.mean(1)) for table in differences]
    found = Crossed(**{field: _stacked(field, [one for one, _ in pairs]) for field in asdict(pairs[0][0])})
    by_seed = np.stack([means for _, means in pairs])
    margin = 4 * float(np.median(found.standard_error))  # as in the simulations
    for promise, method, hits in (
        ("coverage 95 %", "crossed interval", covers(found)),
        ("coverage 95 %", "t interval", covers(crossed(by_seed[..., None]))),
        ("false positives 5 %", "crossed test", found.p_value() <= 0.05),
        ("false positives 0.1 %", "crossed test", found.p_value() <= 0.001),
        ("false positives 5 %", "sign flips", sign_flips.sign_flip_p(by_seed, draws=399) <= 0.05),
        ("false equivalence 5 %", "two one-sided tests", falsely_equivalent(found, margin)),
    ):
        yield Measured(promise, method, world, seeds, float(np.mean(hits)), draws)


def _stacked(field: str, blocks: list[Crossed]) -> Any:
    values = [getattr(block, field) for block in blocks]
    return values[0] if field in ("seeds", "examples") else np.stack(values)


def _family(world: str, scores: np.ndarray, seeds: int, draws: int) -> Iterator[Measured]:
    wrong = {"claims at 0": 0, "claims, half at 0": 0}
    for table in relabelled(scores, seeds, ARMS, draws):
        found = crossed(table[1:] - table[:1])
        margin = 4 * float(np.median(found.standard_error))
        for name, truth in (("claims at 0", np.zeros(ARMS - 1)), ("claims, half at 0", np.arange(ARMS - 1) % 2.0)):
            at_truth = moved(found, truth * margin)
            differs, equal = claim_family.claims(at_truth.p_value(), at_truth.equivalence_p(margin))
            wrong[name] += bool((differs[truth == 0] <= 0.05).any() or (equal[truth == 1] <= 0.05).any())
    for name, count in wrong.items():
        family = world.replace(REAL, f"{REAL}, as {ARMS - 1} arms and a baseline,")
        yield Measured("any false claim 5 %", name, family, seeds, count / draws, draws)


def measure_runs(folder: Path, draws: int = DRAWS) -> list[Measured]:
    """Returns all rows of the runs in ``folder``."""
    task, scores = read_scores(folder)
    return [row for seeds in SEEDS for row in real_rows(task, scores, seeds, draws)]
