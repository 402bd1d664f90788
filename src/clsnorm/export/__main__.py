"""Exports a finished run as a stock model of transformers, without code of its own.

python -m clsnorm.export run=runs/NAME
python -m clsnorm.export run=runs/NAME output=my-model push=ORG/NAME

Normalizer and head are folded into the architecture's own head. The folder is loaded where clsnorm cannot be imported,
and its logits are compared with the run's on all rows of the report split; it is written only if they are equal up to
1e-5 of their range and all answers are the same.
"""

import sys

from clsnorm.command.status import run_command
from clsnorm.command.words import read_words

OPTIONS = {
    "run": "the folder of a finished run",
    "output": "the folder to write; left out: the folder export in the run's",
    "force": "true: replace an earlier export",
    "license": "the licence that the model card states, such as mit; left out: none",
    "push": "ORG/NAME: also upload to the Hugging Face hub, to a private repository",
    "public": "true: a new repository is public",
}


def main(words: list[str]) -> None:
    """Runs the command with the arguments ``words``."""
    given = read_words(words, OPTIONS, about=__doc__, required=["run"])
    from clsnorm.export.export_command import export  # imports torch

    export(given)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
