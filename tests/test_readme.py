"""The README is true: its tables, its commands, its code."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from catalogue import DOCUMENTS, PAGES, with_tables
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import clsnorm.callbacks
from clsnorm.config import names
from clsnorm.config.roles import instantiate
from clsnorm.model import load_tokenizer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
TYPED = re.findall(r"`python train\.py ([^`]*=[^`]*)`", README)
COMMANDS = sorted(
    {
        line.split("#")[0].strip().removeprefix(".venv/bin/")
        for line in "\n".join(BLOCKS).splitlines()
        if "python train.py" in line
    }
    | {f"python train.py {words}" for words in TYPED if "--cfg" not in words}
)

PAGES_OF_DOCS = {
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "tests/*.md", "src/**/*.md")
    for path in ROOT.glob(pattern)
}
MODULES = sorted(set(re.findall(r"^python (-m clsnorm[^#\n]*[^#\s])", "\n".join(BLOCKS), flags=re.MULTILINE)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_equal_those_of_the_configuration(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert with_tables(text, ROOT / "conf") == text, "run: make docs"


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert PAGES[name](ROOT / "conf") == (ROOT / name).read_text(encoding="utf-8"), "run: make docs"


@pytest.mark.parametrize("page", sorted(PAGES_OF_DOCS), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not _leads_somewhere(ROOT / page, target)] == []


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, part = target.partition("#")
    file = page if not name else page.parent / name
    return file.exists() and (not part or part in map(_anchor, re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)))


def _anchor(heading: str) -> str:
    """Returns the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert project["description"] in citation["title"].replace("clsnorm: what", "What")


def test_make_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\S+)", "\n".join(BLOCKS), flags=re.MULTILINE)
    assert {"train", "test"} <= set(targets)
    made = {name for names in re.findall(r"^([\w -]+):", makefile, flags=re.MULTILINE) for name in names.split()}
    assert set(targets) <= made


def jobs(command: str) -> list[list[str]]:
    """The override lists of a command; several for a sweep."""
    words = [word for word in shlex.split(command)[2:] if word not in ("-m", "clsnorm.analyze")]
    parser = OverridesParser.create()
    choices = []
    for override in parser.parse_overrides(words):
        if override.is_sweep_override():
            choices.append([f"{override.get_key_element()}={v}" for v in override.sweep_string_iterator()])
        else:
            choices.append([override.input_line or ""])
    return [list(job) for job in itertools.product(*choices)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    names.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        folders = [compose("train", job, return_hydra_config=True).hydra.run.dir for job in jobs(command)]
    assert len(set(folders)) == len(folders)


def test_all_values_of_a_data_set_are_shown() -> None:
    words = ["data=stance_atheism", "--cfg", "job", "-p", "data"]
    assert f"python train.py {' '.join(words)}".replace("stance_atheism", "sst2") in README
    typed = [sys.executable, str(ROOT / "train.py"), *words]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    shown = yaml.safe_load(done.stdout)
    assert shown["labels"] == ["none", "against", "favor"]
    assert shown["batch_size"] == 32


def published_files(folder: Path, tiny_data: SimpleNamespace) -> None:
    """Creates small files at the paths in the README's commands."""
    glue = folder / "data" / "SST-2"
    glue.mkdir(parents=True)
    shutil.copy(tiny_data.train, glue / "train.tsv")
    shutil.copy(tiny_data.report, glue / "dev.tsv")
    for name, source in (("a.tsv", tiny_data.train), ("b.tsv", tiny_data.report)):
        rows = [line.split("\t") for line in source.read_text().splitlines()[1:]]
        pairs = [f"{text}\t{text[::-1]}\t{label}" for text, label in rows]
        (folder / name).write_text("\n".join(["premise\thypothesis\tlabel", *pairs]) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS)
def test_commands_run(
    words: str, command: Callable[..., Any], workspace: Path, tiny_data: SimpleNamespace, tiny_bert: Path
) -> None:
    """As typed, but with a tiny model, small files and two steps."""
    published_files(workspace, tiny_data)
    small = ["trainer.max_steps=2", "data.max_train_examples=64", "data.max_length=32", f"model.path={tiny_bert}"]
    if "data=sst2" in words:
        small += [f"paths.data={workspace}/data", "data.rows=null"]
    done = command(*shlex.split(words)[2:], *small, "model.sha256=null")
    if "trainer.devices=4" in words and torch.cuda.device_count() < 4:
        assert done.returncode == 2
        assert "GPU" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    expected = 9 if "sweep=first_look" in words else len(jobs(words))
    assert len(list(workspace.glob("*/**/results.json"))) == expected


@pytest.mark.slow
@pytest.mark.parametrize("words", MODULES)
def test_other_commands_run(words: str, workspace: Path, tiny_bert: Path) -> None:
    """As typed, but an analysis takes a tiny model and few rows."""
    small = [f"model.path={tiny_bert}", "model.sha256=null", "data.max_train_examples=64", "data.max_length=32"]
    typed = [sys.executable, *shlex.split(words), *(small if "analyze" in words else [])]
    done = subprocess.run(typed, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(workspace.glob("analysis/*/analysis.html"))) == (len(jobs(words)) if "analyze" in words else 0)
    assert done.stdout


def code(language: str, start: str) -> str:
    """The README's block of ``language`` that starts with ``start``."""
    (block,) = [b for b in re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL) if b.startswith(start)]
    return block


def test_normalizer_of_the_readme_works() -> None:
    scope: dict[str, Any] = {}
    exec(code("python", "from torch import Tensor"), scope)
    h = torch.tensor([[1.0, -3.0]])
    torch.testing.assert_close(scope["Softsign"](2)(h), torch.tensor([[0.5, -0.75]]))
    head = code("yaml", "# Softsign").splitlines()
    assert [line for line in head if line.startswith("# Source: ")]
    assert head[2] == "# python train.py normalizer=softsign"
    assert all("  # " in line for line in head[3:])  # as config/test_conf.py requires
    assert "``z = " in scope["Softsign"].__doc__


def test_data_set_of_the_readme_works(
    tmp_path: Path, tiny_data: SimpleNamespace, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf, files = tmp_path / "conf", tmp_path / "data" / "reviews"
    shutil.copytree(ROOT / "conf", conf)
    (conf / "data" / "reviews.yaml").write_text(code("yaml", "# Reviews"))
    files.mkdir(parents=True)
    shutil.copy(tiny_data.train, files / "train.tsv")
    shutil.copy(tiny_data.report, files / "test.tsv")
    monkeypatch.setenv("CLSNORM_CACHE", str(tmp_path / "cache"))
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("train", ["data=reviews", f"paths.data={tmp_path / 'data'}"])
    node = OmegaConf.to_container(config.data, resolve=True)
    seeds = {"seed_order": 0, "seed_subset": 0, "seed_noise": 0}
    data = instantiate(node, "data", tokenizer=load_tokenizer(str(tiny_bert)), **seeds)  # type: ignore[arg-type]
    data.prepare()
    assert data.labels == ["bad", "good"]
    assert len(data.labels_of("report")) == 40


def test_observer_of_the_readme_works(train: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {}
    exec(code("python", "import pytorch_lightning"), scope)
    monkeypatch.setattr(clsnorm.callbacks, "HeadNorm", scope["HeadNorm"], raising=False)
    node = yaml.safe_load(code("yaml", "# The norm of the head"))
    run = train(f"+callbacks.head_norm._target_={node['head_norm']['_target_']}")
    assert "head/weight_norm" in (run.folder / "metrics.csv").read_text().splitlines()[0]


def add(path: Path, text: str, *, before: str = "") -> None:
    """Puts ``text`` into a file: above the first line that begins with ``before``, or at the end."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    places = [number for number, line in enumerate(lines) if before and line.startswith(before)]
    lines.insert(places[0] if places else len(lines), text.rstrip())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_additions_of_the_readme_pass_the_contract_tests(tmp_path: Path) -> None:
    """In a copy that adds only the README's normalizer, data set and observer."""
    for name in (
        "src",
        "tools",
        "conf",
        "tests",
        "docs",
        "README.md",
        "Makefile",
        "pyproject.toml",
        "requirements.txt",
    ):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    package, conf, tests = tmp_path / "src" / "clsnorm", tmp_path / "conf", tmp_path / "tests"
    exports = "__init__.py"
    add(package / "normalizers" / "softsign.py", code("python", "from torch import Tensor"))
    add(package / "normalizers" / exports, "from clsnorm.normalizers.softsign import Softsign\n", before="__all__")
    add(package / "callbacks" / "head_norm.py", code("python", "import pytorch_lightning"))
    add(package / "callbacks" / exports, "from clsnorm.callbacks.head_norm import HeadNorm\n", before="__all__")
    add(conf / "normalizer" / "softsign.yaml", code("yaml", "# Softsign"))
    add(conf / "callbacks" / "head_norm.yaml", code("yaml", "# The norm of the head"))
    add(conf / "data" / "reviews.yaml", code("yaml", "# Reviews"))
    page = tmp_path / "docs" / "normalizers" / "per_sample.md"
    add(page, code("markdown", "| `softsign`"), before="| `dyt`")
    add(tests / "normalizers" / "test_reference_per_sample.py", code("python", "def test_reference_of_softsign"))
    path = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run([sys.executable, "tools/docs/catalogue.py"], cwd=tmp_path, env=path, check=False)
    assert done.returncode == 0
    found = ("softsign", "head_norm", "reviews", "pages", "tables", "held_against", "own_formula", "stands_in_one")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", " or ".join(found), "-m", "not slow"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all(done.stdout.count(name) == 0 for name in ("failed", "error"))
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 60, done.stdout


@pytest.mark.slow
def test_quick_start_runs(train: Callable[..., SimpleNamespace]) -> None:
    run = train("experiment=quickstart", "trainer.max_steps=2", tiny=False)
    results = json.loads((run.folder / "results.json").read_text())
    assert results["data"] == "rotten_tomatoes"
    assert results["train_examples"] == 1000
    assert {"train", "select", "report"} <= set(results["source"]["rows"])
