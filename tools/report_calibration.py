"""Measures whether the intervals and tests of `clsnorm.report` keep their promises, by simulation and on real runs.

python tools/report_calibration.py                       # by simulation, in five minutes on one core
python tools/report_calibration.py --runs multirun/NAME  # on runs of one arm that differ in their seed; several folders
python tools/report_calibration.py --write               # also into the page of the report and docs/report.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from calibration.measured import grouped, markdown, with_table
from calibration.relabelled_runs import REAL, measure_runs
from calibration.simulations import measure

from clsnorm.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "report.md"
STORED = ROOT / "src" / "clsnorm" / "report" / "templates" / "calibration.json"

Lines = Sequence[dict[str, object]]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--runs", type=Path, nargs="+", help="measure on the runs of each folder, not by simulation")
    parser.add_argument("--write", action="store_true", help="store the table for the page and docs/report.md")
    given = parser.parse_args()
    real = [row for folder in given.runs or () for row in measure_runs(folder)]
    lines = grouped(real or measure(given.simulations))
    print(markdown(lines))
    if given.write:
        lines = joined(json.loads(STORED.read_text(encoding="utf-8")), lines, real=given.runs is not None)
        write_text(STORED, json.dumps(lines, indent=1) + "\n")
        write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), lines))


def joined(stored: Lines, new: Lines, *, real: bool) -> list[dict[str, object]]:
    """Returns ``new`` with the stored lines of the other kind: simulations if ``real``, else those of real runs."""
    kept = [line for line in stored if str(line["world"]).startswith(REAL) is not real]
    return sorted(
        [*kept, *new], key=lambda line: (str(line["method"]).startswith("rejected"), *map(str, line.values()))
    )


if __name__ == "__main__":
    main()
