"""Predicts with the model of a finished run.

python -m clsnorm.predict run=runs/NAME text="a gripping film"
python -m clsnorm.predict run=runs/NAME file=reviews.csv output=predicted.csv
cat reviews.txt | python -m clsnorm.predict run=runs/NAME

The answers are those of the run's own evaluation. A file keeps its columns and gets `predicted`, `probability` and
`p_NAME` for each class; `value` in regression.
"""

import sys

from clsnorm.command.status import run_command
from clsnorm.command.words import read_words

OPTIONS = {
    "run": "the folder of a finished run",
    "text": "one text",
    "second": "with text: the second text of a pair",
    "file": "a CSV, TSV, JSON Lines or Parquet file, or .txt with a text a line; - or left out: standard input",
    "columns": "the text column of the file, or both of a pair: NAME or A,B; left out: found by name and content",
    "format": "csv, tsv, jsonl, parquet or lines; left out: by the file's extension, of standard input lines",
    "output": "the file to write, .csv, .tsv, .jsonl or .parquet; left out: standard output",
    "accelerator": "cpu, gpu or auto (the default)",
}


def main(words: list[str]) -> None:
    """Runs the command with the arguments ``words``."""
    given = read_words(words, OPTIONS, about=__doc__, required=["run"])
    from clsnorm.predict.predict_command import predict  # imports torch

    predict(given)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
