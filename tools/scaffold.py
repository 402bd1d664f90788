"""Writes the skeleton of a new part: class, configuration, export, doc line, and a test that fails until you fill it.

python tools/scaffold.py normalizer NAME         # also: callback, dataset
python tools/scaffold.py statistic FAMILY/NAME
"""

from __future__ import annotations

import argparse
import ast
import keyword
import re
import sys
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
WIDTH = 120  # of a line, as ruff has it
LONGEST = 30  # letters of a name, so that every line of a template fits


class RefusedError(Exception):
    """The name cannot be used; nothing was written."""


class Skeleton:
    """Collects the texts of a new part; `write` writes them once all of them are known to be possible."""

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

    def text(self, path: str) -> str:
        """The text of an existing file, with what was added so far."""
        target = self.root / path
        return self.texts[target] if target in self.texts else target.read_text(encoding="utf-8")

    def insert(self, path: str, text: str, *, before: str = "") -> None:
        """Adds ``text`` to an existing file, above the first line that starts with ``before`` or at the end."""
        lines = self.text(path).splitlines()
        at = next((n for n, line in enumerate(lines) if before and line.startswith(before)), len(lines))
        self.texts[self.root / path] = "\n".join([*lines[:at], *text.rstrip("\n").split("\n"), *lines[at:]]) + "\n"

    def insert_after(self, path: str, mark: str, text: str) -> None:
        """Adds ``text`` to an existing file, right after ``mark``."""
        self.texts[self.root / path] = self.text(path).replace(mark, mark + text)

    def export(self, package: str) -> None:
        """Adds the class to the imports and to ``__all__`` of ``clsnorm.<package>``, in ruff's order."""
        name, kind, path = self.words["name"], self.words["Class"], f"src/clsnorm/{package}/__init__.py"
        head, exported = self.text(path).split("\n\n__all__ = ")
        lines, start = head.split("\n"), f"from clsnorm.{package}."
        modules = {at: line.split()[1] for at, line in enumerate(lines) if line.startswith(start)}
        later = (at for at, module in modules.items() if natural(module) > natural(f"clsnorm.{package}.{name}"))
        lines.insert(next(later, len(lines)), f"{start}{name} import {kind}")
        if kind in ast.literal_eval(exported):
            raise RefusedError(
                f"Expected the name of a new {self.kind}, but {path} exports {kind}. Choose another name"
            )
        names = sorted([*ast.literal_eval(exported), kind], key=lambda one: (not one.isupper(), natural(one)))
        one_line = "__all__ = [" + ", ".join(f'"{one}"' for one in names) + "]"
        if exported.startswith("[\n") or len(one_line) > WIDTH:
            one_line = "\n".join(["__all__ = [", *(f'    "{one}",' for one in names), "]"])
        self.texts[self.root / path] = "\n".join(lines) + f"\n\n{one_line}\n"

    def write(self) -> list[Path]:
        """Writes everything; returns the paths."""
        for path, text in self.texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return list(self.texts)


def natural(text: str) -> list[tuple[str, int]]:
    """A key to sort by as ruff does: numbers by value."""
    return [(word, int(digits or 0)) for word, digits in re.findall(r"(\D+|^)(\d*)", text)]


def normalizer(part: Skeleton) -> None:
    """A class, its YAML, its export, a line on its family's page and a reference test that fails."""
    name = part.words["name"]
    part.create(f"conf/normalizer/{name}.yaml", "normalizer.yaml")
    part.create(f"src/clsnorm/normalizers/{name}.py", "normalizer.py")
    part.export("normalizers")
    part.insert("docs/normalizers/per_sample.md", f"| `{name}` | `TODO: formula` | `TODO: gain` |", before="| `dyt`")
    tests = "normalizers/test_reference_per_sample.py"
    part.insert(f"tests/{tests}", part.filled("normalizer_test.py"))
    part.insert_after("tests/README.md", f"| `{tests}` | ", f"`{name}`, ")


def callback(part: Skeleton) -> None:
    """A class, its YAML, its export, its line on the page of logged numbers and a reference test that fails."""
    name = part.words["name"]
    part.create(f"conf/callbacks/{name}.yaml", "callback.yaml")
    part.create(f"src/clsnorm/callbacks/{name}.py", "callback.py")
    part.create(f"tests/callbacks/test_{name}.py", "callback_test.py")
    part.export("callbacks")
    part.insert("src/clsnorm/dashboard/keys.py", part.filled("callback_key.py"), before=")")


def statistic(part: Skeleton) -> None:
    """A formula in its family's file. The family's reference test fails until it has a number for it."""
    family, name = part.words["family"], part.words["name"]
    folder = part.root / "src/clsnorm/statistics/families"
    families = sorted(path.stem for path in folder.glob("[!_]*.py"))
    if family not in families:
        raise RefusedError(f"Expected one of the families {', '.join(families)}, but got {family!r}")
    path = f"src/clsnorm/statistics/families/{family}.py"
    text = part.text(path)
    if f'"{family}/{name}"' in text or name in bound_names(text):
        raise RefusedError(f"Expected the name of a new statistic, but {path} defines {name}. Choose another name")
    part.insert(path, part.filled("statistic.py"))
    if "ELEMENTARY" not in text:
        part.insert_after(path, "from clsnorm.statistics.statistic import ", "ELEMENTARY, ")


def bound_names(text: str) -> set[str]:
    """Every name that a module imports, defines or assigns to."""
    nodes = list(ast.walk(ast.parse(text)))
    found = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return found | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def dataset(part: Skeleton) -> None:
    """A YAML with one base and a test of its rows that fails; docs/data.md is generated."""
    name = part.words["name"]
    part.create(f"conf/data/{name}.yaml", "dataset.yaml")
    part.insert("tests/data/test_sets.py", part.filled("dataset_test.py"))


KINDS = {"normalizer": normalizer, "callback": callback, "statistic": statistic, "dataset": dataset}


def scaffold(root: Path, kind: str, name: str) -> list[Path]:
    """Writes the skeleton of a new ``kind`` below ``root``; raises RefusedError for an invalid or existing name."""
    family, _, own = name.rpartition("/")
    if bool(family) != (kind == "statistic"):
        raise RefusedError(f"Expected {'FAMILY/NAME' if kind == 'statistic' else 'a name without /'}, but got {name!r}")
    allowed = re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", own) and len(own) <= LONGEST
    if not allowed or keyword.iskeyword(own) or own in ("base", "none"):
        raise RefusedError(
            f"Expected a name in lower case of at most {LONGEST} characters, such as soft_clip, but got {own!r}"
        )
    part = Skeleton(root, kind, own, family)
    KINDS[kind](part)
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
    print("Next: fill in each TODO (the new test fails until then), then run `make docs`, `make lint` and `make test`")
    return None


if __name__ == "__main__":
    sys.exit(main())
