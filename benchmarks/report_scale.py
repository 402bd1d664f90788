"""Time and memory of a large report: python benchmarks/report_scale.py [--arms 40 --seeds 20 --sets 10 --draws 10000].

Writes synthetic runs in the real formats, then times reading all of them and the whole command, in a process each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from sweep_folders import EXAMPLES, write_run

READ = "import sys, clsnorm.report; print(len(clsnorm.report.load(sys.argv[1]).runs))"


def write_runs(folder: Path, *, arms: int, seeds: int, sets: int) -> None:
    """Writes finished runs of each arm, seed and data set, with accuracies that depend on all three."""
    names = ["identity", *(f"arm{number:02d}" for number in range(1, arms))]
    for data in range(sets):
        for place, normalizer in enumerate(names):
            for seed in range(seeds):
                accuracy = 0.7 + 0.01 * data + 0.001 * place + 0.004 * (seed * (place + 3) % 7)
                write_run(folder, accuracy, data=f"set{data}", normalizer=normalizer, seed=seed)


def measure(command: list[str]) -> tuple[str, float, float]:
    """Returns what a command prints, its seconds, and its peak memory in MB."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command ended with status {os.waitstatus_to_exitcode(status)}")
    return printed, time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("arms", 40), ("seeds", 20), ("sets", 10), ("draws", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_runs(folder / "runs", arms=given.arms, seeds=given.seeds, sets=given.sets)
        count = given.arms * given.seeds * given.sets
        print(f"{count:,} runs of {EXAMPLES} report rows", flush=True)
        printed, seconds, memory = measure(["-c", READ, str(folder / "runs")])
        assert int(printed) == count
        print(f"read: {seconds:.1f} s, {memory:.0f} MB", flush=True)
        options = ["--draws", str(given.draws), "--output", str(folder / "report")]
        _, seconds, memory = measure(["-m", "clsnorm.report", str(folder / "runs"), *options])
        page = (folder / "report" / "report.html").stat().st_size / 2**20
        print(f"report with {given.draws:,} resamples: {seconds:.1f} s, {memory:.0f} MB; the page has {page:.1f} MB")


if __name__ == "__main__":
    main()
