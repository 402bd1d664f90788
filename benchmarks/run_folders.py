"""How long it takes to read many run folders: python benchmarks/run_folders.py [--runs 1000].

Creates synthetic folders of the usual size (250 metrics; 200 rows of 60 columns), then times `find_runs` and, for each
run, reading the results (with its choices and the hash of its configuration) and the last row of its series.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clsnorm.run_folder import RunFolder, find_runs

METRICS, ROWS, COLUMNS = 250, 200, 60


def create(folder: Path, runs: int) -> None:
    """Writes ``runs`` synthetic run folders into ``folder``."""
    draw = random.Random(0)
    names = [f"cls/select/h/number_{index}" for index in range(COLUMNS)]
    rows = [",".join(["step", *names])]
    rows += [",".join([str(step), *(f"{draw.random():.17g}" for _ in names)]) for step in range(ROWS)]
    series = "\n".join(rows) + "\n"
    for index in range(runs):
        run = RunFolder(folder / f"sst2-layernorm-s{index}")
        run.path.mkdir(parents=True)
        run.config.write_text(f"seed: {index}\nconfig_hash: {index:08x}\n")
        metrics = {f"cls/select/h/number_{number}": draw.random() for number in range(METRICS)}
        choices = {"data": "sst2", "normalizer": "layernorm", "model": "minilm"}
        run.results.write_text(json.dumps({**choices, "config_hash": f"{index:08x}", "metrics": metrics}, indent=2))
        run.metrics.write_text(series)


def measure(folder: Path) -> tuple[int, float]:
    """Returns the number of runs in ``folder`` and the seconds it took to read them."""
    started = time.perf_counter()
    read = [(run.read_results(), run.read_last_row()) for run in find_runs(folder)]
    seconds = time.perf_counter() - started
    assert all(results is not None and last["step"] == ROWS - 1 for results, last in read)
    return len(read), seconds


def import_seconds() -> float:
    """Returns the seconds that ``import clsnorm.run_folder`` adds to the start of Python, the best of three."""

    def start(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    return min(start("import clsnorm.run_folder") for _ in range(3)) - min(start("pass") for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        create(Path(folder), given.runs)
        count, seconds = measure(Path(folder))
    print(f"{count} runs read in {seconds:.2f} s; import clsnorm.run_folder: {import_seconds():.3f} s")


if __name__ == "__main__":
    main()
