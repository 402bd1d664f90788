"""``python -m clsnorm.report FOLDER ...``: compares the arms of sweeps with the baseline, and writes a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clsnorm.command.standard_streams import printing
from clsnorm.command.status import run_command
from clsnorm.report.answers import MARGIN, Options, answer
from clsnorm.report.collected_facts import collected
from clsnorm.report.files_of_report import write_report
from clsnorm.report.markdown import verdict_table


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or after one line, 1 if a file cannot be written and 2 for a user's mistake."""
    given = _parser().parse_args(arguments)
    return run_command(lambda: _report(given))


def _report(given: argparse.Namespace) -> None:
    options = Options(given.baseline, given.margin, tuple(given.by), tuple(given.arms), given.draws)
    place = given.output or given.folders[0] / "report"
    facts = collected(answer(given.folders, options), place, linked=not given.no_links)
    paths = write_report(place, facts)
    with printing():
        print(verdict_table(facts["verdicts"]))
        for path in paths:
            print(f"written to {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clsnorm.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps, or folders of runs")
    parser.add_argument("--baseline", default="identity", help="the arm that others are compared with")
    parser.add_argument("--margin", type=float, default=MARGIN, help="points below which a difference does not matter")
    parser.add_argument(
        "--by", action="append", default=[], metavar="KEY", help="divide data sets by a setting, such as model"
    )
    parser.add_argument(
        "--arms", action="append", default=[], metavar="KEY", help="divide arms by a setting, such as optimizer"
    )
    parser.add_argument("--draws", type=int, default=2_000, help="resamples of each bootstrap; 0 for none")
    parser.add_argument("--no-links", action="store_true", help="name runs without links, for a page that leaves them")
    parser.add_argument("--output", type=Path, help="folder of the report; the first folder's report/ by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
