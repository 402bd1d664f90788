"""The tables of gradients in docs/results.md, from finished runs; the commands that make these are on that page.

    python benchmarks/gradient_tables.py normalizers multirun/FOLDER   # whole runs: score and gradients at h and z
    python benchmarks/gradient_tables.py dead multirun/FOLDER          # means over eight steps
    python benchmarks/gradient_tables.py first_step runs               # the first step, part by part

Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from clsnorm.run_folder import RunFolder, find_runs

Row = list[str]


def number(value: float) -> str:
    """Returns three significant digits, or whole numbers from 1,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.3g}'):g}"


def named(run: RunFolder) -> Row:
    """Returns the options by which the runs of a table differ."""
    config = run.require_config()
    dead = config["normalizer"].get("dead")
    return [
        f"`{config['choices']['normalizer']}`",
        "" if dead is None else f"{dead:g}",
        f"{config['optimizer']['eps']:g}",
    ]


def series(run: RunFolder) -> Mapping[str, np.ndarray]:
    """Returns the logged values of each column of metrics.csv, in the order of the steps."""
    with run.metrics.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows if row[name]]) for name in rows[0] if name != "events"}


def of_run(run: RunFolder) -> Row:
    """Returns score, norms of single examples at h and z over all steps, gain and its bound."""
    metrics = (run.read_results() or {})["metrics"]
    with np.load(run.path / "statistics" / "gradients.npz") as stored:
        h = stored["h" if "h" in stored else "h_of_sum"]  # of the sum of losses, if a normalizer mixes a batch
        z, bound = stored["z"], stored["gain_bound"]
    found = [np.median(h), *np.quantile(h, [0.95, 0.99]), h.max(), np.median(z), np.quantile(z, 0.99), z.max()]
    found += [metrics["grad/rms_gain"], bound.max()]
    return [f"{metrics['report/accuracy']:.3f}", *(number(float(value)) for value in found)]


def of_steps(run: RunFolder) -> Row:
    """Returns means over steps: gain, bound, clip coefficient, shares of parts in the clipped gradient."""
    found = series(run)
    shares = [found[f"grad/clipped/layer06/{part}"] / found["grad/clipped/total"] for part in ("norm", "ffn")]
    columns = [*(found[f"grad/{name}"] for name in ("rms_gain", "gain_bound", "clip_coefficient")), *shares]
    return [number(float(column.mean())) for column in columns]


def of_first_step(run: RunFolder) -> Row:
    """Returns norms of parts of the gradient, the clip coefficient, and updates over weights, times 1,000."""
    found = series(run)
    parts = {
        name.removeprefix("grad/parameters/"): values[0] for name, values in found.items() if "grad/parameters/" in name
    }
    names = ("total", "body", "head", "layer06/norm")
    encoder = [value for name, value in parts.items() if name not in names]
    rest = float(np.sqrt(sum(value**2 for value in encoder)))
    norms = [
        parts["total"],
        parts["layer06/norm"],
        rest,
        found["grad/below_norm/mean"][0],
        found["grad/clip_coefficient"][0],
    ]
    ratios = [
        found[f"grad/update_ratio/{part}"][0] * 1e3 for part in ("layer06/ffn", "layer03/ffn", "layer03/attention")
    ]
    return [*(number(float(value)) for value in norms), ", ".join(f"{value:.2f}" for value in ratios)]


TABLES: dict[str, tuple[str, Callable[[RunFolder], Row]]] = {
    "normalizers": ("accuracy | h: median | p95 | p99 | max | z: median | p99 | max | gain | bound", of_run),
    "dead": ("gain | bound | clip coefficient | share of layer06/norm | of layer06/ffn", of_steps),
    "first_step": (
        "all | layer06/norm | rest of the encoder | below the last norm | clip coefficient | updates",
        of_first_step,
    ),
}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    head, row = TABLES[options.table]
    print(f"| normalizer | dead | eps | {head} |\n|{'---|' * (4 + head.count(' | '))}")
    for run in sorted(find_runs(options.folder), key=named):
        print(f"| {' | '.join([*named(run), *row(run)])} |")


if __name__ == "__main__":
    main()
