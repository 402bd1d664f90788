"""The pages of the families: their examples run, and each normalizer is on one of them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "normalizers").glob("*.md"))
FAMILIES = [path for path in PAGES if path.stem not in ("README", "evidence")]
KEYS = sorted(path.stem for path in (ROOT / "conf" / "normalizer").glob("[!_]*.yaml"))


@pytest.mark.parametrize("path", [path for path in PAGES if path.stem != "evidence"], ids=lambda path: path.stem)
def test_examples_run(path: Path) -> None:
    result = doctest.testfile(str(path), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_different_classes_have_different_formulas() -> None:
    table = (ROOT / "docs" / "normalizers" / "README.md").read_text(encoding="utf-8")
    formulas = dict(re.findall(r"^\| `([a-z0-9_]+)` \| `(z = .*?)` \|", table, re.MULTILINE))
    assert sorted(formulas) == KEYS
    classes: dict[str, set[str]] = {}
    for key, formula in formulas.items():
        config = OmegaConf.load(ROOT / "conf" / "normalizer" / f"{key}.yaml")
        classes.setdefault(formula, set()).add(config["_target_"])
    assert {formula: kinds for formula, kinds in classes.items() if len(kinds) > 1} == {}


def test_each_family_is_linked_and_each_normalizer_is_in_one_table() -> None:
    entry = (ROOT / "docs" / "normalizers" / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in entry for path in FAMILIES)
    cells = re.findall(
        r"^\| (`[^|]+`) \|", "\n".join(path.read_text(encoding="utf-8") for path in FAMILIES), re.MULTILINE
    )
    found = [key for cell in cells for key in re.findall(r"`([a-z0-9_]+)`", cell) if key in KEYS]
    assert sorted([*found, *IN_PROSE]) == KEYS


IN_PROSE = ("abtt", "whiten_cut")  # described in a separate paragraph on the page of whitening
