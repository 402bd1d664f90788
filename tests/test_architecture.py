"""Imports run one way, and light modules import no torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "clsnorm"

# A package imports only packages before it, so there is no import cycle. The first line is the ground: the only
# modules outside packages.
ORDER = (
    "redaction", "errors", "seals", "files", "tensor_files", "cache",
    "distributed", "batches", "freed_memory", "progress", "lightning_internals", "lightning_loop", "metrics", "failure",
    "config", "run_folder", "launch", "command", "sweep", "pages", "report",
    "statistics", "normalizers", "losses", "regularizers", "optim", "model", "gradients", "data",
    "loggers", "records", "callbacks", "pretraining",
    "experiment", "probes",
    "dashboard", "analyze", "ablation", "predict", "evaluate", "export",
)  # fmt: skip
GROUND = ORDER[: ORDER.index("config")]


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
    if part in ("__init__", "__main__"):
        return
    assert part in ORDER, f"{part} is new: put it into ORDER, before all that import it"
    upward = [name for name in imported(path) - {part} if ORDER.index(name) > ORDER.index(part)]
    assert not upward


def test_only_ground_modules_are_outside_packages() -> None:
    assert {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"} == set(GROUND)


@pytest.mark.parametrize(
    "module",
    [
        "clsnorm",
        "clsnorm.config",
        "clsnorm.command.status",
        "clsnorm.launch.one_machine",
        "clsnorm.experiment.job",
        "clsnorm.run_folder",
        "clsnorm.sweep",
    ],
)
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_normalizers_and_statistics_need_torch_alone() -> None:
    code = (
        "import sys, clsnorm.normalizers, clsnorm.statistics;"
        "sys.exit(bool({'pytorch_lightning', 'transformers', 'hydra', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_map_names_every_package_in_order_and_no_other() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("<!-- packages -->") : page.index("<!-- end -->")]
    assert re.findall(r"^\| `(\w+)/?` \|", table, flags=re.MULTILINE) == list(ORDER)


def test_a_name_means_one_thing() -> None:
    paths = [path for path in SOURCE.rglob("*.py") if path.stem not in ("__init__", "__main__")]
    classes = [
        node.name for path in paths for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    twice = [name for names in ([path.name for path in paths], classes) for name, n in Counter(names).items() if n > 1]
    assert twice == [], "two files, or two classes, of one name"
