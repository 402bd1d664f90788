"""How often the rules of failure call a model failed: by its true score, on report splits of some sizes.

    python benchmarks/failure_rates.py

Accuracies are exact: sums over the binomial distribution of the number of correct rows. Correlations are simulated:
normal values, 400 splits of each kind. Prints a table in Markdown, in two minutes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import binom
from torchmetrics import PearsonCorrCoef

from clsnorm.failure import QUANTILE, judge
from clsnorm.metrics import has_collapsed

SPLITS = {"RTE": (277, 0.527), "acl_arc": (139, 0.51), "Rotten Tomatoes": (1066, 0.5)}
GAINS = (-0.05, 0.0, 0.0134, 0.033, 0.05, 0.1)
SAMPLES = 400


def of_accuracy(rows: int, majority: float, accuracy: float) -> tuple[float, float, float]:
    """Returns the chances of: not above the majority, failed, and not above it by more than the margin."""
    base = round(majority * rows) / rows
    margin = QUANTILE * math.sqrt(base * (1 - base) / rows)
    chance = binom.pmf(np.arange(rows + 1), rows, accuracy)
    score = np.arange(rows + 1) / rows
    return tuple(float(chance[flags].sum()) for flags in (score <= base, score < base - margin, score <= base + margin))


def of_correlation(rows: int, correlation: float) -> tuple[float, float, float]:
    """Returns the same for Pearson correlations, by simulation."""
    generator, counts = torch.Generator().manual_seed(0), np.zeros(3)
    for _ in range(SAMPLES):
        labels, noise = torch.randn(2, rows, generator=generator)
        values = correlation * labels + math.sqrt(1 - correlation**2) * noise
        found = judge(PearsonCorrCoef(), values, labels, constant=0.0, num_outputs=1, regression=True, mode="max")
        old = has_collapsed(found.score, found.majority, mode="max", largest_share=math.nan)
        counts += (old, found.failed, not found.above_majority)
    return tuple(counts / SAMPLES)


def main() -> None:
    print("| split | rows | majority | true score | `collapsed` | `failed` | not `above_majority` |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (rows, majority) in SPLITS.items():
        for gain in GAINS:
            rates = " | ".join(f"{rate:.3f}" for rate in of_accuracy(rows, majority, majority + gain))
            print(f"| {name}, accuracy | {rows} | {majority:.3f} | {majority + gain:.3f} | {rates} |")
    for correlation in (-0.1, 0.0, 0.05, 0.2):
        rates = " | ".join(f"{rate:.3f}" for rate in of_correlation(300, correlation))
        print(f"| a correlation | 300 | 0 | {correlation:.3f} | {rates} |")


if __name__ == "__main__":
    main()
