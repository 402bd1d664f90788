"""``python -m clsnorm.data [NAME] [--json | --found] [paths.KEY=FOLDER]``: lists data sets, or shows one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clsnorm.command.status import run_command
from clsnorm.config.choices import CONF, paths_given
from clsnorm.data.listing import listing, without_places
from clsnorm.data.notes import notes_on_rows
from clsnorm.errors import InputError

NONE = "–"
WIDTH = 200  # where the output goes to a file or a pipe


def main(words: Sequence[str]) -> None:
    """Runs the command with the arguments ``words``.

    Raises:
        InputError: If the data set or the path does not exist.
    """
    parser = argparse.ArgumentParser(prog="python -m clsnorm.data", description=__doc__)
    parser.add_argument(
        "words", nargs="*", metavar="NAME | paths.KEY=FOLDER", help="a data set; folders of data and cache"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: one object, or a list of all")
    parser.add_argument("--found", action="store_true", help="print the content of docs/data_found.json: numbers only")
    given = parser.parse_intermixed_args(words)
    names = [word for word in given.words if "=" not in word]
    if len(names) > 1:
        raise InputError(
            f"Expected at most one data set, but got {', '.join(names)}. Give one name, or none to list all"
        )
    paths = paths_given([word for word in given.words if "=" in word])
    found = listing(CONF, paths, only=names[0] if names else None)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    if given.found:
        root = Path(paths["data"]).expanduser()
        print(json.dumps([without_places(one, root) for one in found], indent=1, ensure_ascii=False))
    elif given.json:
        all_of_them = list(found)
        print(json.dumps(all_of_them[0] if names else all_of_them, indent=2, ensure_ascii=False))
    elif names:
        show(next(iter(found)), console)
    else:
        console.print(overview(found))
        if not Path(paths["data"]).expanduser().is_dir():
            place = escape(paths["data"])
            console.print(f"The folder {place} does not exist: set paths.data=FOLDER or CLSNORM_DATA=FOLDER")


def overview(found: Iterable[dict[str, Any]]) -> Table:
    """Returns the table of all data sets."""
    table = Table(
        caption="rows: train / select / report; – is carved from train. leaked: rows of select / report also in train"
    )
    table.add_column("data=", style="bold", no_wrap=True)
    for name in ("kind", "rows", "words (95 %)", "majority", "leaked", "metrics", "read from"):
        table.add_column(name, justify="right" if name in ("rows", "words (95 %)", "majority", "leaked") else "left")
    for one in found:
        stated = [(one["stated"] or {}).get(split) for split in ("train", "select", "report")]
        table.add_row(
            one["name"],
            one["kind"],
            " / ".join(f"{count:,}" if count else NONE for count in stated),
            f"{one['words']['median']:.0f} ({one['words']['p95']:.0f})" if "words" in one else "",
            f"{one['majority']:.0%}" if one.get("majority") else "",
            _leaked(one),
            ", ".join(one["metrics"]),
            _place(one),
        )
    return table


def _leaked(one: dict[str, Any]) -> str:
    copies = one.get("copies")
    return " / ".join(f"{copies[s]['near']:,}" if s in copies else NONE for s in ("select", "report")) if copies else ""


def _place(one: dict[str, Any]) -> str:
    if "refused" in one:
        return escape(f"refused: {one['refused']}")
    if "missing" in one and "published" in one:
        return f"only {', '.join(one['published'])}"
    if "missing" in one:
        return escape(f"not found ({', '.join(one['missing'])})")
    return one["source"]["kind"]


def show(one: dict[str, Any], console: Console) -> None:
    """Prints the record of a data set and examples of each class."""
    about = one["about"]
    facts = {
        "asks": one["asks"],
        "kind": one["kind"],
        "source": " ".join(filter(None, (about["citation"], about["url"]))),
        "licence": about["licence"],
        "metrics": ", ".join(one["metrics"]),
        "read from": one.get("refused") or _each(one.get("missing") or one["source"]["location"]),
        "rows": _each(one.get("published") or one["stated"]),
        "words": _each(one.get("words")),
        "largest class": f"{one['majority']:.1%} of {_described(one)}" if one.get("majority") else "",
        "notes": "\n".join(notes_on_rows(one)) if "copies" in one else "",
    }
    table = Table(title=one["name"], show_header=False)
    for name, text in facts.items():
        if text:
            table.add_row(name, escape(text))
    console.print(table)
    if "examples" in one:
        console.print(_examples(one))


def _described(one: dict[str, Any]) -> str:
    """Returns the split that lengths, balance and examples describe: train, if it was found."""
    return min(one["published"], key=lambda split: split != "train")


def _each(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())


def _examples(one: dict[str, Any]) -> Table:
    table = Table(title=f"Examples of {_described(one)}", show_lines=True)
    pairs = one["kind"].startswith("pairs")
    for name in ("label", "rows", *(("first text", "second text") if pairs else ("text",))):
        table.add_column(name)
    counts = (one["classes"] or {}).get(_described(one), {})
    for label, rows in one["examples"].items():
        for row in rows:
            table.add_row(escape(label), str(counts.get(label, "")), *map(escape, row))
    return table


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
