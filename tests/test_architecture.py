"""Imports run one way, and light parts stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "clsnorm"

# Who may import whom, inside the package. The leaves import nothing but each other and may be imported by all.
LEAVES = {"accounts", "errors", "batches", "files", "metrics", "plotting", "steps"}
ALLOWED = {
    "accounts": set(),
    "errors": set(),
    "batches": set(),
    "files": set(),
    "plotting": set(),
    "steps": set(),
    "distributed": set(),
    "statistics": {"distributed"},
    "normalizers": {"statistics", "distributed"},
    "metrics": set(),
    "data": {"catalogue", "command", "distributed", "instantiation", "options"},  # most for `python -m clsnorm.data`
    "model": {"normalizers", "distributed"},
    "gradients": {"distributed", "model"},
    "callbacks": {"gradients", "model", "normalizers", "statistics", "distributed"},
    "naming": set(),
    "options": set(),
    "annotations": set(),
    "instantiation": {"annotations"},
    "markdown": set(),
    "found": {"markdown"},
    "catalogue": {"dashboard", "found", "instantiation", "markdown", "statistics"},
    "checks": {"instantiation"},
    "calibration": {"distributed", "data", "model", "statistics"},
    "records": {"distributed"},
    "launch": set(),
    "worker": {"analysis", "distributed", "experiment", "launch", "records"},
    "loading": {"building", "model", "records"},
    "sweeping": set(),
    "unchanged": {"data", "instantiation", "records"},
    "dashboard": set(),
    "analysis": {"building", "data", "distributed", "loading", "model", "records", "statistics"},
    "analyze": {
        "analysis", "catalogue", "checks", "command", "instantiation", "launch", "loading", "naming", "options",
        "records", "sweeping",
    },
    "command": {"launch", "naming", "options", "sweeping"},
    "building": {"callbacks", "data", "distributed", "instantiation", "model", "records"},
    "experiment": {
        "building", "calibration", "callbacks", "checks", "data", "distributed", "instantiation", "launch", "naming",
        "options", "records", "sweeping", "unchanged",
    },
}  # fmt: skip


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("clsnorm.")}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert part in ALLOWED, f"{part} is new: say in this test what it may import"
    assert imported(path) - {part} - LEAVES <= ALLOWED[part]


@pytest.mark.parametrize("module", ["clsnorm", "clsnorm.naming", "clsnorm.command"])
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_normalizers_and_statistics_need_torch_alone() -> None:
    code = (
        "import sys, clsnorm.normalizers, clsnorm.statistics;"
        "sys.exit(bool({'pytorch_lightning', 'transformers', 'hydra', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
