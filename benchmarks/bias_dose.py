"""Tables of the sweeps `bias_dose` and `bias_dose_sgd`: what a dose of bias does to gradients, curvature and scores.

    python train.py sweep=bias_dose
    python train.py sweep=bias_dose_sgd
    python benchmarks/bias_dose.py multirun/bias_dose multirun/bias_dose_sgd

The first table has a row for each factor k of the mean, over all runs: curvature at the first step, and gradients in
the first tenth of training as ratios to the run with k=1 (the identity) of the same optimizer, learning rate and seed.
The second has a row for each optimizer, learning rate and k, over seeds; differences are paired by seed, with 95 %
intervals by Student's t. Both give the median and, in parentheses, the smallest and the largest run. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from clsnorm.report.inference.binomials import clopper_pearson
from clsnorm.run_folder import find_runs

Arm = tuple[str, float, float]  # optimizer, learning rate, k
Arms = dict[Arm, dict[int, dict[str, Any]]]  # results by seed
CURVATURES = ("gauss_newton", "head")
SCORE = "last/report/accuracy"
RATIOS = ("grad/steps/h/mean/start/median", "grad/steps/head_weight/mean/start/median")
TOTAL = "grad/steps/parameters/total/run/max"
START = "| `k` | largest curvature | of the head alone | gradient at `h`, over k=1 | of the head's weights, over k=1 |"
OUTCOME = (
    "| optimizer | `lr` | `k` | failed (95 % interval) | report accuracy | minus that of k=1 (95 % interval) | "
    "curvature at the end | largest gradient of all parameters |"
)


def read(folders: list[Path]) -> Arms:
    """Returns the results of all finished runs, by arm and seed."""
    arms: Arms = defaultdict(dict)
    for run in (run for folder in folders for run in find_runs(folder)):
        results, config = run.read_results(), run.read_config()
        if results is not None:
            optimizer = config["optimizer"]["_target_"].rpartition(".")[2]
            arm = (optimizer, config["optimizer"]["lr"], config["normalizer"]["k"])
            series = run.read_series()
            curvature = {name: [value for _, value in series[f"sharpness/{name}"]] for name in CURVATURES}
            arms[arm][results["seed"]] = results | curvature
    return arms


def failures(failed: int, runs: int) -> str:
    """Returns the count of failed runs and its Clopper-Pearson interval."""
    low, high = clopper_pearson(failed, runs)
    return f"{failed} of {runs} ({low:.2f} to {high:.2f})"


def spread(values: list[float]) -> str:
    """Returns median and range."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "not finite"
    text = f"{statistics.median(finite):.3g}"
    return text if len(finite) == 1 else f"{text} ({min(finite):.3g} to {max(finite):.3g})"


def start_row(arms: Arms, k: float) -> str:
    """Returns a row of the first table."""
    runs = [run for arm, seeds in arms.items() if arm[2] == k for run in seeds.values()]
    pairs = [
        (run, arms[*arm[:2], 1.0][seed])
        for arm, seeds in arms.items()
        if arm[2] == k
        for seed, run in seeds.items()
        if seed in arms.get((*arm[:2], 1.0), {})
    ]
    cells = [f"{k:g}", *(spread([run[name][0] for run in runs]) for name in CURVATURES)]
    cells += [spread([run["metrics"][name] / base["metrics"][name] for run, base in pairs]) for name in RATIOS]
    return "| " + " | ".join(cells) + " |"


def outcome_row(arms: Arms, arm: Arm) -> str:
    """Returns a row of the second table."""
    runs, baseline = arms[arm], arms.get((*arm[:2], 1.0), {})
    scores = {seed: run["metrics"][SCORE] for seed, run in runs.items()}
    mean, deviation = np.mean([*scores.values()]), np.std([*scores.values()], ddof=1) if len(scores) > 1 else np.nan
    paired = [scores[seed] - baseline[seed]["metrics"][SCORE] for seed in runs if seed in baseline]
    cells = [arm[0], f"{arm[1]:g}", f"{arm[2]:g}", failures(sum(run["failed"] for run in runs.values()), len(runs))]
    cells += [f"{mean:.3f} ± {deviation:.3f}", "" if arm[2] == 1 else difference(paired)]
    cells += [spread([run["gauss_newton"][-1] for run in runs.values() if len(run["gauss_newton"]) > 1])]
    cells += [spread([run["metrics"][TOTAL] for run in runs.values()])]
    return "| " + " | ".join(cells) + " |"


def difference(paired: list[float]) -> str:
    """Returns the mean and its 95 % interval by Student's t."""
    if len(paired) < 2:
        return "one pair" if paired else "no pair"
    mean, error = float(np.mean(paired)), float(stats.sem(paired))
    half = float(stats.t.ppf(0.975, len(paired) - 1)) * error
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of the two sweeps")
    arms = read(parser.parse_args().folders)
    doses = sorted({arm[2] for arm in arms})
    for head, rows in (
        (START, [start_row(arms, k) for k in doses]),
        (OUTCOME, [outcome_row(arms, arm) for arm in sorted(arms)]),
    ):
        print(head, "|" + " --- |" * (head.count("|") - 1), *rows, "", sep="\n")


if __name__ == "__main__":
    main()
