"""``python -m clsnorm.ablation RUN``: what the outlier dimensions of [CLS] do for a finished run.

python -m clsnorm.ablation runs/NAME
python -m clsnorm.ablation runs/NAME --definition variance --ablation mean --name variance_mean
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from clsnorm.command.status import run_command
from clsnorm.errors import require_choice
from clsnorm.pages.figure import require as require_matplotlib

DEVICES = ("auto", "cpu", "gpu")


def main(words: Sequence[str]) -> None:
    """Runs the command with the arguments ``words``.

    Raises:
        InputError: If an argument is refused, or a folder holds no finished run.
    """
    from clsnorm.ablation.plan import AblationPlan  # imports torch

    parser = argparse.ArgumentParser(
        prog="python -m clsnorm.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--name", default="outliers", help="of the study: it is stored in RUN/ablations/NAME")
    parser.add_argument("--accelerator", default="auto", help=", ".join(DEVICES))
    parser.add_argument("--force", action="store_true", help="measure again, and replace a study of this name")
    for field in fields(AblationPlan):
        kind = type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default, help=f"default {field.default!r}")
    given = parser.parse_args(words)
    require_choice("accelerator", given.accelerator, DEVICES)
    require_matplotlib()
    plan = AblationPlan(**{field.name: getattr(given, field.name) for field in fields(AblationPlan)})
    from clsnorm.ablation.ablation_command import study_runs

    study_runs(given.runs, plan, name=given.name, accelerator=given.accelerator, force=given.force)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
