"""`make new-...` writes skeletons that the contract tests find, and refuses unusable names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tools", "conf", "tests", "docs", "README.md", "Makefile", "pyproject.toml", "requirements.txt")
TESTS = {  # tests that must find the new part, and the one that must fail until it is filled in
    "normalizer": ("soft_clip", "test_reference_of_soft_clip"),
    "callback": ("soft_clip", "test_soft_clip_logs_the_number_computed_by_hand"),
    "dataset": ("soft_clip", "test_rows_of_soft_clip"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = {**os.environ, "PYTHONPATH": str(folder / "src")}
    return subprocess.run([sys.executable, *words], cwd=folder, env=path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("normalizer", "layernorm"), "conf/normalizer/layernorm.yaml exists"),
        (("callback", "Bad-Name"), "Expected a name in lower case"),
        (("dataset", "class"), "Expected a name in lower case"),
        (("statistic", "no_family"), "Expected FAMILY/NAME"),
        (("normalizer", "a/b"), "Expected a name without /"),
    ],
)
def test_refused_names_create_nothing(copy: Path, words: tuple[str, str], message: str) -> None:
    before = sorted(path for path in copy.rglob("*") if "__pycache__" not in path.parts)
    done = run(copy, "tools/scaffold.py", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path for path in copy.rglob("*") if "__pycache__" not in path.parts) == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", TESTS)
def test_contract_tests_find_the_skeleton_and_its_own_test_fails(copy: Path, kind: str) -> None:
    assert run(copy, "tools/scaffold.py", kind, "soft_clip").returncode == 0
    words, own = TESTS[kind]
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", words, "-m", "not slow")
    found = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert any(own in line for line in found), done.stdout
    assert " passed" in done.stdout
