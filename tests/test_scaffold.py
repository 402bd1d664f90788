"""`make new-...` writes skeletons that the contract tests find, and refuses unusable names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tools", "conf", "tests", "docs", "README.md", "Makefile", "pyproject.toml", "requirements.txt")
PARTS = {"normalizer": "soft_clip", "callback": "step_count", "statistic": "norm/longest", "dataset": "small_talk"}
FAILING = {  # the only tests that fail until the skeletons are filled in
    "tests/normalizers/test_reference_per_sample.py::test_reference_of_soft_clip[float32]",
    "tests/normalizers/test_reference_per_sample.py::test_reference_of_soft_clip[float64]",
    "tests/callbacks/test_step_count.py::test_step_count_logs_its_reference",
    "tests/statistics/families/test_norm.py::test_each_number_equals_that_of_numpy",
    "tests/data/test_sets.py::test_rows_of_small_talk",
}
FINDING = (  # contract tests that are to find the new parts
    "tests/normalizers/test_contract.py",
    "tests/normalizers/test_gain.py",
    "tests/normalizers/test_pages.py",
    "tests/config/test_conf.py",
    "tests/statistics/test_catalogue.py",
    "tests/data/test_conf.py",
    "tests/test_mirror.py",
)
# Tests of all parts at once.
SHARED = "has_a_formula or in_one_table or compared_with_a_reference or mirror or exported or catalogue_lists"
TABLES = {  # generated, with the new parts in them
    "README.md": ("soft_clip", "small_talk"),
    "docs/normalizers/README.md": ("soft_clip",),
    "docs/metrics.md": ("step_count/value",),
    "docs/statistics.md": ("norm/longest",),
    "docs/data.md": ("small_talk",),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=path, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[Path, str]:
    return {
        path: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".md")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("normalizer", "layernorm"), "conf/normalizer/layernorm.yaml exists"),
        (("normalizer", "l2_norm"), "clsnorm/normalizers/__init__.py exports L2Norm"),
        (("normalizer", "a/b"), "Expected a name without /"),
        (("callback", "Bad-Name"), "Expected a name in lower case"),
        (("callback", "a" * 31), "of at most 30 characters"),
        (("dataset", "class"), "Expected a name in lower case"),
        (("statistic", "no_family"), "Expected FAMILY/NAME"),
        (("statistic", "nrom/x"), "Expected one of the families centre, classes, "),
        (("statistic", "norm/mean"), "families/norm.py defines mean"),
        (("statistic", "norm/ratio"), "families/norm.py defines ratio"),
    ],
)
def test_a_refused_name_changes_no_file(copy: Path, words: tuple[str, str], message: str) -> None:
    before = contents(copy)
    done = run(copy, "tools/scaffold.py", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert contents(copy) == before


def test_skeletons_need_no_lint(copy: Path) -> None:
    """Short and long names, first and last in their lists, a package of one line and one of many."""
    for name in ("a1", "l2", "batch_x", "zz", "a_name_of_exactly_thirty_chars"):
        for kind in PARTS:
            families = ("centre", "correlation", "spectrum") if kind == "statistic" else ("",)
            for family in families:
                done = run(copy, "tools/scaffold.py", kind, f"{family}/{name}".removeprefix("/"))
                assert done.returncode == 0, done.stderr
    for words in (("check",), ("format", "--check")):
        done = run(copy, "-m", "ruff", *words, "--no-cache", "src", "tests", "tools")
        assert done.returncode == 0, done.stdout


def fill(path: Path, *changes: tuple[str, str]) -> None:
    text = re.sub(r'    assert \w+ is not None, "TODO: .*\n', "", path.read_text(encoding="utf-8"))
    for old, new in changes:
        assert text.count(old) == 1, f"{path}: {old}"
        text = text.replace(old, new)
    assert "TODO" not in text
    path.write_text(text, encoding="utf-8")


def fill_in(copy: Path) -> None:
    """Does what the skeletons' TODOs ask for."""
    source, conf, tests = copy / "src" / "clsnorm", copy / "conf", copy / "tests"
    written = source / "normalizers" / "soft_clip.py"
    head, _, _ = written.read_text(encoding="utf-8").partition("\n    # TODO: the affine map")
    written.write_text(head.replace("import torch\n", ""), encoding="utf-8")
    fill(
        written,
        ("TODO: what this normalizer does, in one line.", "Soft clipping."),
        ("z = TODO``: what it does", "z = h / sqrt(1 + h^2)``"),
        ("    TODO: source, with its arXiv number.", "    Elementary."),
        ("    def normalize", '    bends = "squashes each dimension"\n\n    def normalize'),
        ("TODO: its formula; 1.", "``max (1 + h^2)^-1.5``."),
        (
            "h.new_ones(())  # TODO: the largest singular value of the Jacobian at each h, (B,)",
            "((1 + h.square()) ** -1.5).amax(1)",
        ),
        ("return h  # TODO: compute z, (B, dim), from h, (B, dim)", "return h / (1 + h.square()).sqrt()"),
    )
    fill(
        conf / "normalizer" / "soft_clip.yaml",
        ("TODO: what SoftClip does, in one sentence.", "Squashes each dimension to (-1, 1)."),
        ("Source: TODO", "Source: elementary"),
    )
    fill(
        copy / "docs" / "normalizers" / "per_sample.md",
        ("`TODO: formula` | `TODO: gain`", "`h / sqrt(1 + h²)` | `max (1 + h²)^-1.5`"),
    )
    fill(
        tests / "normalizers" / "test_reference_per_sample.py",
        ("(h), None\n", "(h), np.sin(np.arctan(h.double().numpy()))\n"),
    )
    fill(
        source / "callbacks" / "step_count.py",
        ("TODO: what this observer watches, in one line.", "Steps so far."),
        ("Logs TODO at each", "Logs the steps so far at each"),
        ("in TODO units", "a count"),
        ("0.0  # TODO: compute the number, the same on all processes", "float(trainer.global_step)"),
    )
    fill(conf / "callbacks" / "step_count.yaml", ("TODO: what StepCount watches, in one sentence.", "Steps so far."))
    fill(source / "dashboard" / "keys.py", ('"TODO", "TODO: what it says."', '"count", "Steps so far."'))
    fill(
        tests / "callbacks" / "test_step_count.py",
        (', "trainer.max_epochs=1"), None', ', "trainer.max_epochs=1"), 8  # 120 rows in batches of 16'),
    )
    fill(
        source / "statistics" / "families" / "norm.py",
        ("TODO: meaning in one line, with its formula.", "Largest norm."),
        (
            "0.0  # TODO: unit and source above, then the formula; NaN where it is undefined",
            "float(s.norms.values.max())",
        ),
        ('"norm/longest", unit="ratio"', '"norm/longest", unit="norm"'),
    )
    fill(
        tests / "statistics" / "families" / "test_norm.py",
        ('"mean": norms.mean(),', '"mean": norms.mean(),\n        "longest": norms.max(),'),
    )
    fill(
        conf / "data" / "small_talk.yaml",
        ("SmallTalk: TODO, what is asked of a text? (TODO, year.) TODO train, TODO test", "SmallTalk: 8 train, 2 test"),
        ("[TODO_first, TODO_second]", "[small, large]"),
        ("{train: null, report: null}  # TODO: the published number of rows of each split", "{train: 8, report: 2}"),
        ("citation: TODO", "citation: Nobody (2020)"),
    )
    fill(
        tests / "data" / "test_sets.py",
        ("counted = None", 'counted = {"train": 8, "report": 2}'),
    )


def outcome(copy: Path) -> tuple[set[str], int, str]:
    """The failed tests, the number of those that passed, and what pytest said."""
    made = run(copy, "tools/docs/catalogue.py")
    assert made.returncode == 0, made.stderr
    for page, names in TABLES.items():
        text = (copy / page).read_text(encoding="utf-8")
        assert all(f"| `{name}` |" in text or f"`{name}`, " in text for name in names), page
    own = sorted({name.partition("::")[0] for name in FAILING})
    found = f"soft_clip or step_count or longest or small_talk or numpy or {SHARED}"
    words = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", found)
    said = run(copy, "-m", "pytest", *words, *FINDING, *own).stdout
    return (
        set(re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)),
        int(re.findall(r"(\d+) passed", said)[0]),
        said,
    )


@pytest.mark.slow
def test_the_tests_find_skeletons_and_pass_once_they_are_filled_in(copy: Path) -> None:
    for kind, name in PARTS.items():
        assert run(copy, "tools/scaffold.py", kind, name).returncode == 0
    failed, passed, said = outcome(copy)
    assert failed == FAILING, said
    assert passed > 60, said
    assert said.count("AssertionError: TODO: ") >= 4, said
    assert "norm/longest: compute a reference by numpy or scipy" in said
    fill_in(copy)
    failed, filled, said = outcome(copy)
    assert failed == set(), said
    assert filled == passed + len(FAILING)
    for words in (("check",), ("format", "--check")):
        done = run(copy, "-m", "ruff", *words, "--no-cache", "src", "tests")
        assert done.returncode == 0, done.stdout
