"""Coverage and error rates where the truth is known, since the data are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from calibration.measured import SEEDS, Measured, covers, falsely_equivalent, moved
from clsnorm.report.inference import (
    binomials,
    bootstrap,
    claim_family,
    factorial,
    medians,
    over_sets,
    rank_correlation,
    sign_flips,
)
from clsnorm.report.inference.crossed import Crossed, crossed

EXAMPLES = 200
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the mean's variance that comes from seeds
FAMILY = 20
MARGIN = 1.0  # in standard errors it is 4, so that claims of equivalence are possible at all
FAILURES = 0.15  # rate of failed runs where there are any
BLOCK = 250


def tables(random: np.random.Generator, seeds: int, share: float, count: int) -> np.ndarray:
    """Returns ``(count, seeds, examples)`` differences with mean 0, whose mean has the variance 1/16."""
    rest = random.normal(size=(count, seeds, EXAMPLES)) * np.sqrt(0.1 * seeds * EXAMPLES)
    by_seed = random.normal(size=(count, seeds, 1)) * np.sqrt(share * seeds)
    by_example = random.normal(size=(count, 1, EXAMPLES)) * np.sqrt((1 - share) * EXAMPLES)
    return (rest + by_seed + by_example) / np.sqrt(1.1) / 4


def batches(simulations: int) -> Iterator[int]:
    """Yields the sizes of blocks that fit into memory."""
    yield from [BLOCK] * (simulations // BLOCK)
    if simulations % BLOCK:
        yield simulations % BLOCK


def crossed_analyses(seeds: int, share: float, simulations: int, seed: int = 0) -> list[Crossed]:
    """Returns the analyses of simulated tables, in blocks."""
    random = np.random.default_rng([seed, seeds, int(100 * share)])
    return [crossed(tables(random, seeds, share, count)) for count in batches(simulations)]


def crossed_rows(seeds: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of the crossed interval and its tests, and of the methods that were rejected for it."""
    for share in SHARES:
        found = crossed_analyses(seeds, share, simulations)
        world = f"normal, {share:.0%} of the variance from seeds"

        def measured(
            promise: str,
            method: str,
            hits: Callable[[Crossed], np.ndarray],
            found: list[Crossed] = found,
            world: str = world,
        ) -> Measured:
            value = float(np.concatenate([hits(block) for block in found]).mean())
            return Measured(promise, method, world, seeds, value, simulations)

        yield measured("coverage 95 %", "crossed interval", covers)
        yield measured("false positives 5 %", "crossed test", lambda block: block.p_value() <= 0.05)
        yield measured("false positives 0.1 %", "crossed test", lambda block: block.p_value() <= 0.001)
        yield measured("false equivalence 5 %", "two one-sided tests", lambda block: falsely_equivalent(block, MARGIN))
        yield measured("coverage 95 %", "rejected: Satterthwaite", satterthwaite_covers)
        yield measured("false positives 0.1 %", "rejected: Satterthwaite", satterthwaite_rejects)


def satterthwaite_covers(block: Crossed) -> np.ndarray:
    """As `covers`, with Satterthwaite's degrees of freedom."""
    return np.abs(block.mean) <= stats.t.ppf(0.975, block.satterthwaite()) * block.standard_error


def satterthwaite_rejects(block: Crossed) -> np.ndarray:
    """Returns whether p is at most 0.001 with Satterthwaite's degrees of freedom."""
    return 2 * stats.t.sf(np.abs(block.mean) / block.standard_error, block.satterthwaite()) <= 0.001


def family_rows(seeds: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of the family: any false claim among comparisons that share the baseline."""
    random = np.random.default_rng([1, seeds])
    wrong = {"claims at 0": 0, "claims at the margin": 0, "claims, half at 0": 0, "max-T": 0}
    for _ in range(simulations):
        arms = tables(random, seeds, 0.5, FAMILY + 1)
        found = crossed((arms[1:] - arms[:1]) / np.sqrt(2))
        for name, at in (("claims at 0", 0.0), ("claims at the margin", 1.0), ("claims, half at 0", None)):
            truth = np.full(FAMILY, at) if at is not None else np.arange(FAMILY) % 2.0
            at_truth = moved(found, truth * MARGIN)
            differs, equal = claim_family.claims(at_truth.p_value(), at_truth.equivalence_p(MARGIN))
            wrong[name] += bool((differs[truth == 0] <= 0.05).any() or (equal[truth == 1] <= 0.05).any())
        seeds_only = random.normal(size=(FAMILY + 1, seeds))
        wrong["max-T"] += bool(sign_flips.max_t(seeds_only[1:] - seeds_only[:1], draws=399).min() <= 0.05)
    for name, count in wrong.items():
        world = f"{FAMILY} arms against one baseline"
        yield Measured("any false claim 5 %", name, world, seeds, count / simulations, simulations)


def seed_rows(seeds: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of tests on one score per seed."""
    random = np.random.default_rng([2, seeds])
    for world, draw in WORLDS.items():
        scores = draw(random, (simulations, 2, seeds))
        differences = scores[:, 0] - scores[:, 1]
        p = sign_flips.sign_flip_p(differences, draws=399)
        yield Measured("false positives 5 %", "sign flips", world, seeds, float((p <= 0.05).mean()), simulations)
        found = crossed(differences[..., None])
        yield Measured("coverage 95 %", "t interval", world, seeds, float(covers(found).mean()), simulations)
        few = min(simulations, 1000)
        alarms = [medians.brown_forsythe(list(pair)) <= 0.05 for pair in scores[:few]]
        yield Measured("false positives 5 %", "Brown-Forsythe", world, seeds, float(np.mean(alarms)), few)
        if seeds >= 6:
            ends = np.array([medians.median_interval(row)[:2] for row in differences[:few]])
            held = (ends[:, 0] <= 0) & (ends[:, 1] >= 0)
            yield Measured("coverage 95 %", "median, order statistics", world, seeds, float(held.mean()), few)


WORLDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "t with 3 degrees of freedom": lambda random, shape: random.standard_t(3, size=shape),
    "15 % failed runs": lambda random, shape: random.normal(size=shape) - 30 * (random.uniform(size=shape) < FAILURES),
}


def not_normal(random: np.random.Generator, seeds: int, world: str) -> np.ndarray:
    """Returns a table of differences with mean 0 whose part from seeds is not normal."""
    d = tables(random, seeds, 0.5, 1)[0][:, :100]
    if world == "skewed: exponential over seeds":
        return d + random.exponential(2.0, (seeds, 1)) - 2.0
    if world == "15 % failed runs in both arms":
        failed = random.uniform(size=(2, seeds, 1)) < FAILURES
        return d + 20.0 * (failed[0].astype(float) - failed[1])
    if world == "15 % failed runs in one arm":
        return d + 20.0 * ((random.uniform(size=(seeds, 1)) < FAILURES) - FAILURES)
    return d


def bootstrap_rows(seeds: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of intervals where seeds are not normal; the percentile bootstrap was rejected for the others."""
    worlds = ("skewed: exponential over seeds", "15 % failed runs in both arms", "15 % failed runs in one arm")
    for world in ("normal, half from seeds", *worlds):
        random = np.random.default_rng([3, seeds])
        held = {"crossed interval": 0, "studentized bootstrap": 0, "rejected: percentile bootstrap": 0}
        for index in range(simulations):
            d = not_normal(random, seeds, world)
            held["crossed interval"] += bool(covers(crossed(d)))
            if seeds >= bootstrap.LEAST:
                low, high = bootstrap.studentized_interval(d, draws=999, seed=index)
                held["studentized bootstrap"] += low <= 0 <= high
            means, _ = bootstrap.resampled(d, draws=499, seed=index)
            low, high = np.quantile(means, (0.025, 0.975))
            held["rejected: percentile bootstrap"] += low <= 0 <= high
        for method, count in held.items():
            if seeds >= bootstrap.LEAST or method != "studentized bootstrap":
                yield Measured("coverage 95 %", method, world, seeds, count / simulations, simulations)


def failure_rows(seeds: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of failure rates."""
    random = np.random.default_rng([4, seeds])
    for rate in (0.05, 0.3):
        failed = random.uniform(size=(simulations, 2, seeds)) < rate
        counts = failed[:, 0].sum(1)
        ends = np.array([binomials.clopper_pearson(k, seeds) for k in range(seeds + 1)])[counts]
        held = float(((ends[:, 0] <= rate) & (ends[:, 1] >= rate)).mean())
        world = f"{rate:.0%} failed runs"
        yield Measured("coverage at least 95 %", "Clopper-Pearson", world, seeds, held, simulations)
        more, fewer = (failed[:, 0] & ~failed[:, 1]).sum(1), (failed[:, 1] & ~failed[:, 0]).sum(1)
        few = [(int(a), int(b)) for a, b in zip(more, fewer, strict=True)][:1000]
        p = np.mean([binomials.paired_p(a, b) <= 0.05 for a, b in few])
        yield Measured("false positives 5 %", "McNemar, exact", world, seeds, float(p), len(few))
        pairs = [binomials.paired_interval(a, b, seeds) for a, b in few]
        held = float(np.mean([low <= 0 <= high for low, high in pairs]))
        yield Measured("coverage at least 95 %", "difference of failure rates", world, seeds, held, len(few))


def set_rows(sets: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of means over data sets: ``sets`` takes the place of seeds."""
    random = np.random.default_rng([5, sets])
    for between in (0.0, 1.0):
        errors = random.uniform(0.5, 1.5, (simulations, sets))
        estimates = random.normal(size=(simulations, sets)) * np.sqrt(between**2 + errors**2)
        found = [over_sets.over_sets(d, e) for d, e in zip(estimates, errors, strict=True)]
        ends = np.array([one.interval() for one in found])
        held = float(((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean())
        world = f"sets instead of seeds; they differ by {between:g} standard errors"
        yield Measured("coverage 95 %", "mean over data sets", world, sets, held, simulations)


def rank_rows(points: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of rank correlations: ``points`` takes the place of seeds; of runs, 3 for each seed."""
    if points < rank_correlation.LEAST:
        return
    for r in (0.0, 0.7):
        random, held = np.random.default_rng([6, points, int(10 * r)]), {"rank correlation": 0, "within groups": 0}
        truth = 6 / np.pi * np.arcsin(r / 2)  # Spearman's of a normal pair
        for _ in range(simulations):
            x = random.normal(size=points)
            found = rank_correlation.of_points(x, r * x + np.sqrt(1 - r**2) * random.normal(size=points), draws=1)
            held["rank correlation"] += found.low <= truth <= found.high
            by_seed = random.normal(size=(2, 1, points)) + random.normal(size=(2, 3, points))
            groups, seeds = np.repeat(range(3), points).tolist(), list(range(points)) * 3
            found = rank_correlation.within_groups(by_seed[0].ravel(), by_seed[1].ravel(), groups, seeds)
            held["within groups"] += found.low <= 0 <= found.high
        world = f"normal pairs, correlation {r:g}; points instead of seeds"
        rate = held["rank correlation"] / simulations
        yield Measured("coverage 95 %", "rank correlation", world, points, rate, simulations)
        if r == 0:
            rate = held["within groups"] / simulations
            yield Measured("coverage 95 %", "rank correlation in groups", "3 runs a seed", points, rate, simulations)


def share_rows(levels: int, simulations: int) -> Iterator[Measured]:
    """Yields the rows of shares of variance of two crossed streams of ``levels`` seeds each."""
    truth = np.array([4.0, 1.0, 2.0])
    random, held = np.random.default_rng([7, levels]), np.zeros(3)
    for index in range(simulations):
        sizes = ((levels, 1), (1, levels), (levels, levels))
        y = sum(np.sqrt(v) * random.normal(size=size) for v, size in zip(truth, sizes, strict=True))
        found = factorial.components(np.asarray(y), draws=999, seed=index)
        held += [one.low <= share <= one.high for one, share in zip(found, truth / truth.sum(), strict=True)]
    for name, rate in zip(("57 %", "14 %", "29 % (the rest)"), held / simulations, strict=True):
        world = f"seeds x seeds; a true share of {name}"
        yield Measured("coverage 95 %", "shares of variance", world, levels, float(rate), simulations)


def measure(simulations: int) -> list[Measured]:
    """Returns all rows."""
    few = max(200, simulations // 4)
    found: list[Measured] = []
    for seeds in SEEDS:
        found += crossed_rows(seeds, simulations)
        found += family_rows(seeds, few)
        found += seed_rows(seeds, simulations)
        found += bootstrap_rows(seeds, few)
        found += failure_rows(seeds, simulations)
        found += set_rows(seeds, few)
        found += rank_rows(seeds, few)
        found += share_rows(seeds, few)
    return found
