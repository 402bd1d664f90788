"""``clsnorm COMMAND ...``: one console script for all commands, each the same as ``python -m MODULE ...``."""

from __future__ import annotations

import runpy
import sys

from clsnorm.errors import did_you_mean

# Command: the module that runs it, and what it does.
COMMANDS = {
    "train": ("clsnorm.experiment", "fine-tune one configuration, or with -m a sweep; as python train.py"),
    "analyze": ("clsnorm.analyze", "take statistics of [CLS] at every layer"),
    "ablation": ("clsnorm.ablation", "ablate the outlier dimensions of a finished run"),
    "probe": ("clsnorm.probes", "fit simple classifiers to [CLS] of the frozen encoder, for each normalizer"),
    "evaluate": ("clsnorm.evaluate", "score a finished run on other data"),
    "predict": ("clsnorm.predict", "predict texts with the model of a finished run"),
    "sweep": ("clsnorm.sweep", "show the jobs of a sweep, plan one, retry what failed, clean up"),
    "export": ("clsnorm.export", "write a finished run as a stock model of transformers"),
    "data": ("clsnorm.data", "list data sets, or show one"),
    "pretrain": ("clsnorm.pretraining", "continue masked-language-model training of an encoder"),
    "report": ("clsnorm.report", "compare the arms of sweeps with a baseline: verdicts and tables"),
    "dashboard": ("clsnorm.dashboard", "draw the curves of finished or running runs"),
}


def main() -> int:
    """Runs the command named by the first word and returns the exit status: 2 if there is no such command."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        print(_usage())
        return 0
    if name == "--version":
        import clsnorm

        print(clsnorm.__version__)
        return 0
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS)
        print(f"error: Expected a command, but got {name!r}.{near} There are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[name]
    sys.argv = [f"clsnorm {name}", *words]
    runpy.run_module(module, run_name="__main__")  # which ends by sys.exit
    return 0


def _usage() -> str:
    lines = (f"  clsnorm {name:10} {text}" for name, (_, text) in COMMANDS.items())
    return "\n".join(["usage: clsnorm COMMAND ...", "", *lines, "", "clsnorm COMMAND --help says more."])
