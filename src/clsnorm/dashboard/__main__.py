"""``python -m clsnorm.dashboard RUN_FOLDER ...``: writes ``dashboard.html`` into the folder of a run.

Of several runs it writes ``runs.html`` into the working directory, with a line for each run in each figure.
Or saves a W&B workspace, or compares the gradients of each run with those of another one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clsnorm.command.status import run_command
from clsnorm.dashboard.overlay_page import write_overlay
from clsnorm.dashboard.paired_gradients import write_ratios
from clsnorm.dashboard.run_page import write_page
from clsnorm.dashboard.workspace import workspace
from clsnorm.errors import InputError
from clsnorm.run_folder import RunFolder


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or after one line, 1 if a page cannot be written and 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m clsnorm.dashboard", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="save the layout as a W&B workspace instead")
    parser.add_argument(
        "--gradients-over",
        metavar="RUN_FOLDER",
        type=Path,
        help="write each run's gradient norms over those of this run, step by step, instead; both with gradient_norms",
    )
    parser.add_argument("--texts", action="store_true", help="read the data of the run, and show the texts of mistakes")
    given = parser.parse_args(arguments)
    return run_command(lambda: _show(given))


def _show(given: argparse.Namespace) -> None:
    if given.wandb:
        _save_workspace(given.wandb, given.folders)
    elif given.gradients_over:
        for folder in given.folders:
            _print_ratios(folder, given.gradients_over)
    elif len(given.folders) > 1:
        print(f"written to {write_overlay(given.folders)}")
    else:
        print(f"written to {write_page(given.folders[0], _texts(given.folders[0]) if given.texts else None)}")


def _texts(folder: Path) -> dict[int, list[str]]:
    from clsnorm.dashboard.report_texts import report_texts  # imports the tokenizer, which a page does not need

    return report_texts(folder)


def _print_ratios(folder: Path, reference: Path) -> None:
    path, summary = write_ratios(folder, reference)
    print(f"written to {path}")
    print(f"{'median ratio, step by step':<32}{'first tenth':>12}{'run':>12}{'largest':>12}")
    for name, numbers in summary.items():
        print(f"{name:<32}" + "".join(f"{numbers[key]:>12.4g}" for key in ("start", "run", "largest")))


def _save_workspace(place: str, folders: list[Path]) -> None:
    from clsnorm.loggers.wandb import has_wandb_key  # imports Lightning, which a page does not need

    entity, slash, project = place.partition("/")
    if not (entity and slash and project):
        raise InputError(f"Expected argument `--wandb` to be ENTITY/PROJECT, but got {place!r}")
    names = dict.fromkeys(name for folder in folders for name in RunFolder(folder).read_series())
    layout = workspace(entity=entity, project=project, names=names)
    if not has_wandb_key():
        raise InputError(
            "`--wandb` needs a W&B account, but no API key was found: run `wandb login` or set WANDB_API_KEY"
        )
    try:
        print(layout.save().url)
    except Exception as error:  # any failure of W&B or the network
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"W&B did not accept the workspace for {place}: {reason}") from error


if __name__ == "__main__":
    sys.exit(main())
