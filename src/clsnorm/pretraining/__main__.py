"""``python -m clsnorm.pretraining``: continues masked-language-model training and stores the model in the cache.

python -m clsnorm.pretraining                                      # model=minilm_mlm, from the embedded model
python -m clsnorm.pretraining --sets rotten_tomatoes,imdb --steps 500 --name short
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields

from clsnorm.command.status import run_command
from clsnorm.config.choices import CONF, compose_options, paths_given
from clsnorm.errors import InputError
from clsnorm.pretraining.recipe import Recipe

START, RESULT = "minilm", "minilm_mlm"


def main(words: Sequence[str]) -> None:
    """Runs the command with the arguments ``words``.

    Raises:
        InputError: If an argument is refused.
    """
    parser = argparse.ArgumentParser(
        prog="python -m clsnorm.pretraining", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", metavar="paths.KEY=FOLDER", help="folders of data and cache")
    parser.add_argument("--name", default=RESULT, help="of the result: a folder in CACHE/models")
    parser.add_argument("--model", help="a folder or a hub id; default: the model of model=minilm")
    parser.add_argument("--sets", default="", help="data sets, separated by commas; default: all that are found")
    parser.add_argument("--force", action="store_true", help="replace a model of this name")
    for field in fields(Recipe):
        kind = type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default, help=f"default {field.default}")
    given = parser.parse_intermixed_args(words)
    paths = paths_given(given.paths)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = Recipe(**{field.name: getattr(given, field.name) for field in fields(Recipe)})
    if not given.name.isidentifier():
        raise InputError(f"Expected --name to be one word of letters, digits and _, but got {given.name!r}")
    embedded = next(node for name, _, node in compose_options("model", CONF) if name == START)
    start = (given.model, None) if given.model else (embedded["path"], embedded["sha256"])
    from clsnorm.pretraining.continuation import continue_pretraining

    folder, record = continue_pretraining(
        given.name,
        recipe,
        model=start[0],
        sha256=start[1],
        sets=[name for name in given.sets.split(",") if name],
        paths=paths,
        force=given.force,
    )
    losses = [f"{record['held_out'][when]['loss']:.2f}" for when in ("before", "after")]
    print(f"{folder}: {recipe.steps} steps in {record['seconds']:.0f} s, held-out loss {' -> '.join(losses)} nats")


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
