"""Prints how often the explosion alarm fires in simulated runs, healthy and exploding (docs/gradients.md).

python tools/alarm_power.py --runs 1000

A run is a series of lognormal norms around a trend, drawn from a seed and its number, and judged by
`clsnorm.gradients.Explosion` as in training. Rows are patterns; columns are the standard deviation of the log norms.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from clsnorm.gradients import Explosion

SIGMAS = (0.1, 0.3, 0.5, 0.8, 1.0)
OPTIONS = {"window": 128, "deviations": 8.0, "growth": 4.0}  # of conf/callbacks/gradient_norms.yaml
Trend = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of step and share of the run, to the logarithm of the level

HEALTHY: dict[str, Trend] = {
    "flat": lambda step, share: 0.0 * share,
    "rise by 3 in the first tenth, then fall by 10": lambda step, share: (
        math.log(3) * np.minimum(share / 0.1, 1) - math.log(10) * np.maximum(share - 0.1, 0) / 0.9
    ),
    "fall by 100": lambda step, share: -math.log(100) * share,
    "fall by 10 in the first tenth": lambda step, share: math.log(10) * np.exp(-share / 0.05),
}
EXPLODING: dict[str, Trend] = {
    "first 15 steps 1,000 times": lambda step, share: np.where(step < 15, math.log(1000), 0.0),
    "every third step 50 times": lambda step, share: np.where(step % 3 == 0, math.log(50), 0.0),
    "the same, from the middle on": lambda step, share: np.where((step % 3 == 0) & (share >= 0.5), math.log(50), 0.0),
    "100 times from the middle on": lambda step, share: np.where(share >= 0.5, math.log(100), 0.0),
    "growth by 10": lambda step, share: math.log(10) * share,
    "growth by 100": lambda step, share: math.log(100) * share,
}


def alarms(name: str, trend: Trend, *, steps: int, sigma: float, runs: int, noise: str = "normal") -> tuple[int, int]:
    """Returns in how many of ``runs`` an explosion is reported, and in how many a spike."""
    exploded = spiked = 0
    step = np.arange(steps)
    for run in range(runs):
        draw = np.random.default_rng([zlib.crc32(name.encode()), steps, round(100 * sigma), run])
        logs = trend(step, step / steps) + sigma * _noise(draw, steps, noise)
        detector = Explosion(**OPTIONS)  # type: ignore[arg-type]
        rules = {finding.rule for value in np.exp(logs).tolist() for finding in detector.sees(value)}
        exploded += bool(rules - {"spike"})
        spiked += "spike" in rules
    return exploded, spiked


def _noise(draw: np.random.Generator, steps: int, kind: str) -> np.ndarray:
    """Returns noise of variance 1: independent normal, with a memory of one step, or heavier than normal."""
    if kind == "t":
        return draw.standard_t(5, steps) / math.sqrt(5 / 3)
    noise = draw.standard_normal(steps)
    for step in range(1, steps if kind == "autoregressive" else 0):
        noise[step] = 0.5 * noise[step - 1] + math.sqrt(0.75) * noise[step]
    return noise


def rows(runs: int, lengths: tuple[int, ...] = (96, 300, 1000, 3000)) -> Iterator[list[str]]:
    """Yields the rows of the table; fewer runs of more than 300 steps, for as many steps."""
    for steps in lengths:
        count = max(1, min(runs, runs * 300 // steps))
        cases = [(f"healthy: {name}", trend, "normal") for name, trend in HEALTHY.items()]
        warm = HEALTHY["rise by 3 in the first tenth, then fall by 10"]
        cases += [(f"healthy: that rise and fall, {kind} noise", warm, kind) for kind in ("autoregressive", "t")]
        cases += [(name, trend, "normal") for name, trend in EXPLODING.items() if steps <= 300]
        for name, trend, noise in cases:
            found = [alarms(name, trend, steps=steps, sigma=s, runs=count, noise=noise)[0] for s in SIGMAS]
            yield [name, str(steps), str(count), *(f"{100 * number / count:.4g} %" for number in found)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    print("| norms | steps | runs |", *(f"sigma {sigma:g} |" for sigma in SIGMAS))
    print("| --- " * (3 + len(SIGMAS)) + "|")
    for row in rows(runs):
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
