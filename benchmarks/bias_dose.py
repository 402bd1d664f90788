"""Tables of the sweeps `bias_dose` and `bias_dose_sgd`: what a dose of bias does to failures, curvature and gradients.

    python train.py sweep=bias_dose
    python train.py sweep=bias_dose_sgd
    python benchmarks/bias_dose.py multirun/FOLDER multirun/FOLDER

One row for each optimizer, learning rate and factor k of the mean, over seeds. Gradients are ratios to the run with k=1
(the identity) of the same seed and learning rate. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.report.inference.binomials import clopper_pearson
from clsnorm.run_folder import find_runs

Arm = tuple[str, float, float]  # optimizer, learning rate, k
RATIOS = ("grad/steps/h/mean/start/median", "grad/steps/head_weight/mean/start/median")
TOTAL = "grad/steps/parameters/total/run/max"
HEAD = (
    "| optimizer | `lr` | `k` | failed | 95 % interval | report accuracy | largest curvature at the start | "
    "of the head alone | at the end | gradient at `h`, first tenth, over k=1 | of the head's weights | "
    "largest of all parameters |"
)


def read(folders: list[Path]) -> dict[Arm, dict[int, dict[str, Any]]]:
    """Returns the results of all finished runs, by arm and seed."""
    arms: dict[Arm, dict[int, dict[str, Any]]] = defaultdict(dict)
    for run in (run for folder in folders for run in find_runs(folder)):
        results, config = run.read_results(), run.read_config()
        if results is not None:
            optimizer = config["optimizer"]["_target_"].rpartition(".")[2]
            arm = (optimizer, config["optimizer"]["lr"], config["normalizer"]["k"])
            series = run.read_series()
            curvature = {name: [value for _, value in series[f"sharpness/{name}"]] for name in ("gauss_newton", "head")}
            arms[arm][results["seed"]] = results | curvature
    return arms


def failures(failed: int, runs: int) -> str:
    """Returns the count of failed runs and its Clopper-Pearson interval."""
    low, high = clopper_pearson(failed, runs)
    return f"{failed} of {runs} | {low:.2f} to {high:.2f}"


def spread(values: list[float]) -> str:
    """Returns median and range."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "not finite"
    text = f"{statistics.median(finite):.3g}"
    return text if len(finite) == 1 else f"{text} ({min(finite):.3g} to {max(finite):.3g})"


def row(arms: dict[Arm, dict[int, dict[str, Any]]], arm: Arm) -> str:
    """Returns a row of the table."""
    runs, baseline = arms[arm], arms.get((*arm[:2], 1.0), {})
    scores = [run["metrics"]["last/report/accuracy"] for run in runs.values()]
    mean, deviation = statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else float("nan")
    paired = [seed for seed in runs if seed in baseline]
    cells = [arm[0], f"{arm[1]:g}", f"{arm[2]:g}", failures(sum(run["failed"] for run in runs.values()), len(runs))]
    cells += [f"{mean:.3f} ± {deviation:.3f}", spread([run["gauss_newton"][0] for run in runs.values()])]
    cells += [spread([run["head"][0] for run in runs.values()])]
    cells += [spread([run["gauss_newton"][-1] for run in runs.values() if len(run["gauss_newton"]) > 1])]
    cells += [
        spread([runs[seed]["metrics"][name] / baseline[seed]["metrics"][name] for seed in paired]) for name in RATIOS
    ]
    cells += [spread([run["metrics"][TOTAL] for run in runs.values()])]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of the two sweeps")
    arms = read(parser.parse_args().folders)
    print(HEAD)
    print("|" + " --- |" * (HEAD.count("|") - 1))
    for arm in sorted(arms):
        print(row(arms, arm))


if __name__ == "__main__":
    main()
