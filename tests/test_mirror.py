"""The tests mirror the source: a newcomer finds the tests of a module by its name or in tests/README.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "clsnorm"
FOLDERS = [path.relative_to(TESTS) for path in TESTS.rglob("*") if path.is_dir() and path.name != "__pycache__"]
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.stem not in ("__init__", "__main__"))
ROW = re.compile(r"^\| `(\S*test_\w+\.py)` \|(.*?)\| .+ \|$", re.MULTILINE)


def listed() -> dict[Path, set[str]]:
    """By test file in the table: the modules of its folder that it tests."""
    page = (TESTS / "README.md").read_text(encoding="utf-8")
    return {Path(file): set(re.findall(r"`([\w*]+)`", modules)) for file, modules in ROW.findall(page)}


def mirrored(module: Path) -> Path:
    return module.with_name(f"test_{module.name}")


def test_each_module_has_tests_of_its_name_or_in_the_table() -> None:
    elsewhere = {file.parent / name for file, names in listed().items() for name in names}
    homeless = [
        str(module)
        for module in MODULES
        if mirrored(module) not in FILES and not elsewhere & {module.with_suffix(""), module.with_name("*")}
    ]
    assert homeless == [], "add a test file, or a row in tests/README.md"


def test_each_test_file_is_named_after_a_module_or_in_the_table() -> None:
    in_packages = {file for file in FILES if len(file.parts) > 1}
    assert in_packages - set(map(mirrored, MODULES)) - listed().keys() == set()


def test_the_table_lists_existing_tests_and_modules() -> None:
    for file, names in listed().items():
        assert file in FILES
        missing = [name for name in names - {"*"} if not (SOURCE / file.parent / f"{name}.py").is_file()]
        assert not missing, file


def test_each_folder_is_a_package_or_holds_helpers() -> None:
    assert [str(folder) for folder in FOLDERS if not (SOURCE / folder / "__init__.py").is_file()] == ["helpers"]


def test_the_page_describes_each_folder() -> None:
    page = (TESTS / "README.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE))
    assert described == {str(folder) for folder in FOLDERS if len(folder.parts) == 1} - {"helpers"}


def test_each_public_class_is_named_in_a_test() -> None:
    words = set(re.findall(r"\w+", "\n".join((TESTS / file).read_text(encoding="utf-8") for file in FILES)))
    defined = {
        node.name: str(module)
        for module in MODULES
        for node in ast.parse((SOURCE / module).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    assert {name: module for name, module in defined.items() if name not in words} == {}
