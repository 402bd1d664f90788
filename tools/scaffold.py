"""Writes the skeleton of a new part: class, configuration, export, doc line, and a test that fails until filled in.

python tools/scaffold.py normalizer NAME         # also: callback, dataset
python tools/scaffold.py statistic FAMILY/NAME
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("normalizer", "callback", "statistic", "dataset")


class RefusedError(Exception):
    """Nothing was written, for this reason."""


class Skeleton:
    """Collects the texts of a new part; nothing is written before all of it is known to be possible."""

    def __init__(self, root: Path, kind: str, name: str, family: str = "") -> None:
        self.root, self.kind = root, kind
        self.words = {"name": name, "family": family, "Class": "".join(word.capitalize() for word in name.split("_"))}
        self.texts: dict[Path, str] = {}

    def filled(self, template: str) -> str:
        """The text of a template with the names filled in."""
        return (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8").format(**self.words)

    def create(self, path: str, template: str) -> None:
        """Adds a new file; raises RefusedError if it exists."""
        target = self.root / path
        if target.exists():
            raise RefusedError(f"Expected the name of a new {self.kind}, but {path} exists. Choose another name")
        self.texts[target] = self.filled(template)

    def insert(self, path: str, text: str, *, before: str = "") -> None:
        """Adds ``text`` to an existing file, above the first line that starts with ``before`` or at the end."""
        target = self.root / path
        lines = self.texts.get(target, target.read_text(encoding="utf-8")).splitlines()
        at = next((n for n, line in enumerate(lines) if before and line.startswith(before)), len(lines))
        at -= before == "__all__" and not lines[at - 1]  # imports end above a blank line
        self.texts[target] = "\n".join([*lines[:at], *text.rstrip("\n").split("\n"), *lines[at:]]) + "\n"

    def export(self, package: str) -> None:
        """Adds the class to the imports and to ``__all__`` of ``clsnorm.<package>``."""
        name, kind, path = self.words["name"], self.words["Class"], f"src/clsnorm/{package}/__init__.py"
        self.insert(path, f"from clsnorm.{package}.{name} import {kind}\n", before="__all__")
        target = self.root / path
        head, mark, rest = self.texts[target].partition("__all__ = [")
        separator = "\n    " if rest.startswith("\n") else ""
        self.texts[target] = f'{head}{mark}{separator}"{kind}",{"" if separator else " "}{rest}'

    def write(self) -> list[Path]:
        """Writes everything; returns the paths."""
        for path, text in self.texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return list(self.texts)


def normalizer(part: Skeleton) -> None:
    """A class, its YAML, its export, a line on its family's page and a failing reference test."""
    name = part.words["name"]
    part.create(f"conf/normalizer/{name}.yaml", "normalizer.yaml")
    part.create(f"src/clsnorm/normalizers/{name}.py", "normalizer.py")
    part.export("normalizers")
    part.insert("docs/normalizers/per_sample.md", f"| `{name}` | TODO: formula | TODO: bound |", before="| `dyt`")
    part.insert("tests/normalizers/test_reference_per_sample.py", part.filled("normalizer_test.py"))


def callback(part: Skeleton) -> None:
    """A class, its YAML, its export and a failing test; the page of logged names is generated from its docstring."""
    name = part.words["name"]
    part.create(f"conf/callbacks/{name}.yaml", "callback.yaml")
    part.create(f"src/clsnorm/callbacks/{name}.py", "callback.py")
    part.create(f"tests/callbacks/test_{name}.py", "callback_test.py")
    part.export("callbacks")


def statistic(part: Skeleton) -> None:
    """A decorated function in its family's file and a failing test; the page of statistics is generated."""
    family, name = part.words["family"], part.words["name"]
    folder = part.root / "src/clsnorm/statistics/families"
    families = sorted(path.stem for path in folder.glob("[!_]*.py"))
    if family not in families:
        raise RefusedError(
            f"Expected FAMILY/NAME, but got family {family!r}. There are {', '.join(families) or 'none'}"
        )
    path = f"src/clsnorm/statistics/families/{family}.py"
    if f'"{family}/{name}"' in (part.root / path).read_text(encoding="utf-8"):
        raise RefusedError(f"Expected the name of a new statistic, but {path} has {name}. Choose another name")
    part.insert(path, part.filled("statistic.py"))
    part.create(f"tests/statistics/families/test_{family}_{name}.py", "statistic_test.py")


def dataset(part: Skeleton) -> None:
    """A YAML with one base and a failing test; docs/data.md is generated."""
    name = part.words["name"]
    part.create(f"conf/data/{name}.yaml", "dataset.yaml")
    part.create(f"tests/data/test_set_{name}.py", "dataset_test.py")


def scaffold(root: Path, kind: str, name: str) -> list[Path]:
    """Writes the skeleton of a new ``kind`` below ``root``; raises RefusedError for an invalid or existing name."""
    family, _, own = name.rpartition("/")
    if bool(family) != (kind == "statistic"):
        raise RefusedError(f"Expected {'FAMILY/NAME' if kind == 'statistic' else 'a name without /'}, but got {name!r}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", own) or keyword.iskeyword(own) or own in ("base", "none"):
        raise RefusedError(f"Expected a name in lower case, such as soft_clip, but got {own!r}")
    part = Skeleton(root, kind, own, family)
    {"normalizer": normalizer, "callback": callback, "statistic": statistic, "dataset": dataset}[kind](part)
    return part.write()


def main() -> str | None:
    """Runs the command; returns one line if it was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name")
    given = parser.parse_args()
    try:
        paths = scaffold(Path.cwd(), given.kind, given.name)
    except RefusedError as error:
        return str(error)
    print("\n".join(f"wrote {path.relative_to(Path.cwd())}" for path in paths))
    print("Next: fill in each TODO, run `ruff check --fix` and `make docs`, then `make test`")
    return None


if __name__ == "__main__":
    sys.exit(main())
