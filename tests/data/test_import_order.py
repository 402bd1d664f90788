"""Imports within the data package run one way, too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "src" / "clsnorm" / "data"

# Each imports only what comes before it.
ORDER = ("formats", "sources", "rows", "facts", "tokens", "notes", "module", "own_files", "listing", "__main__")


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.py")), ids=lambda path: str(path.relative_to(DATA)))
def test_imports_run_one_way_inside_data(path: Path) -> None:
    part = path.relative_to(DATA).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert part in ORDER, f"{part} is new: put it into ORDER, before all that import it"
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    imported = {module.split(".")[2] for module in modules if module.startswith("clsnorm.data.")}
    assert not [name for name in imported - {part} if ORDER.index(name) > ORDER.index(part)]
