"""``clsnorm COMMAND`` is ``python -m MODULE``, also from a wheel, and finds a user's own configurations."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import clsnorm
from clsnorm.command.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
MINE = """# Sentences of mine.
# python train.py data=mine
defaults:
  - files
train: {train}
report: {report}
text: [sentence]
label: label
"""


def clsnorm_command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clsnorm", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_each_command_is_a_module_that_can_be_run(module: str) -> None:
    assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize(
    ("words", "status", "printed"),
    [
        ([], 0, "clsnorm train"),
        (["--help"], 0, "clsnorm dashboard"),
        (["--version"], 0, clsnorm.__version__),
        (["trian"], 2, "got 'trian'. Did you mean 'train'? There are train, analyze"),
    ],
)
def test_first_word_chooses_the_command(
    words: list[str], status: int, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["clsnorm", *words])
    assert main() == status
    assert printed in "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_equals_that_of_its_module(name: str, workspace: Path) -> None:
    module, _ = COMMANDS[name]
    words = [sys.executable, "-m", module, "--help"]
    expected = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    done = clsnorm_command(name, "--help")
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout) == (0, done.stdout)


@pytest.mark.parametrize(
    "option",
    [
        ["--config-dir", "own"],
        pytest.param(["--config-dir=own"], marks=pytest.mark.slow),
        pytest.param(["-cd", "own"], marks=pytest.mark.slow),
    ],
)
def test_own_options_are_suggested_and_listed(workspace: Path, option: list[str]) -> None:
    (workspace / "own" / "data").mkdir(parents=True)
    (workspace / "own" / "data" / "mine.yaml").write_text(MINE.format(train="gone.tsv", report="gone.tsv"))
    done = clsnorm_command("train", *option, "data=mne")
    assert done.returncode == 2
    assert "Did you mean 'mine'?" in done.stderr
    assert " mine, " in clsnorm_command("train", *option, "--help").stdout
    found = clsnorm_command("train", *option, "data=mine")
    assert found.returncode == 2
    assert "gone.tsv" in found.stderr
    assert not (workspace / "runs").exists()


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_folder(tmp_path: Path, workspace: Path, tiny_overrides: list[str]) -> None:
    source, venv, empty = tmp_path / "source", tmp_path / "venv", tmp_path / "empty"
    source.mkdir()
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=300)
    (wheel,) = tmp_path.glob("clsnorm-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=300)
    python = venv / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", *offline, str(wheel)], check=True, timeout=300)
    (packages,) = venv.glob("lib/python*/site-packages")  # the wheel's own files come first, dependencies from here
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    empty.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        options = {"cwd": empty, "env": environment, "capture_output": True, "text": True, "timeout": 300}
        return subprocess.run([str(word) for word in words], check=False, **options)  # type: ignore[call-overload]

    where = run(str(python), "-c", "import clsnorm.config; print(clsnorm.config.CONF)").stdout.strip()
    assert Path(where).is_relative_to(packages)
    command = str(venv / "bin" / "clsnorm")
    done = run(command, "train", *tiny_overrides, "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    (results,) = empty.glob("runs/*/results.json")
    assert json.loads(results.read_text())["status"] == "completed"
    page = run(command, "dashboard", str(results.parent))
    assert page.returncode == 0, page.stderr
    assert "<svg" in (results.parent / "dashboard.html").read_text()
    listed = run(command, "data", "sst2", "--json", f"paths.cache={tmp_path}/cache")
    assert json.loads(listed.stdout)["name"] == "sst2", listed.stderr
