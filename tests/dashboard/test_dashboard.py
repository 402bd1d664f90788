"""The layout against the numbers of a real run, and the page of that run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wandb_file import wandb_records

from clsnorm.dashboard import key_of, sections_for
from clsnorm.dashboard.__main__ import main
from clsnorm.dashboard.run_page import write_page
from clsnorm.dashboard.workspace import workspace
from clsnorm.pages import numbers
from clsnorm.run_folder import RunFolder

OF_BATCH_NORMALIZERS = ["Normalizer: training against evaluation"]  # panels that a calibrated one leaves empty
OPTIONS = [
    "normalizer=standardize",  # calibrated, so that there is a drift to show
    "model.tap=pooler",
    "callbacks=[cls_statistics,collapse,gradient_norms,sharpness]",
    "callbacks.sharpness.every=3",
    "callbacks.sharpness.examples=8",
    "callbacks.sharpness.iterations=3",
    "callbacks.sharpness.hessian=true",
    "callbacks.cls_statistics.every=1",
    "trainer.log_every_n_steps=1",
    "logger=wandb",
    "trainer.max_epochs=1",
]


@pytest.fixture
def run(train: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setenv("WANDB_MODE", "offline")
    found: SimpleNamespace = train(*OPTIONS)
    return found


def names_of(record: Any) -> set[str]:
    """Names of the numbers that a record of a W&B file logs."""
    return {"/".join(item.nested_key) or item.key for item in record.history.item}


def test_every_number_of_a_real_run_has_a_panel_and_a_listed_key(run: SimpleNamespace) -> None:
    (path,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    logged = {name for record in wandb_records(path) for name in names_of(record)}
    logged = {name for name in logged if not name.startswith("_") and name not in ("epoch", "trainer/global_step")}
    media = {name.removesuffix("/_type") for name in logged if name.endswith("/_type")}
    logged = {name for name in logged if not any(name.startswith(f"{medium}/") for medium in media)}
    columns = set(RunFolder(run.folder).read_series()) - {"epoch"}
    assert logged == columns
    points = {f"cls/select/{point}/distribution/{name}" for point in "hz" for name in ("mean", "std", "norm")}
    assert media == {*points, "cls/report/dimensions"}
    histograms = [record for record in wandb_records(path) if any("distribution" in name for name in names_of(record))]
    assert len(histograms) == 1  # one epoch
    assert sum(len(item.value_json) for item in histograms[0].history.item) < 12_000  # type: ignore[attr-defined]
    assert not [name for name in media if key_of(name) is None]
    sections = sections_for(sorted(logged))
    empty = [panel.title for section in sections for panel in section.panels if not panel.among(logged)]
    assert empty == OF_BATCH_NORMALIZERS
    numbers = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert not [name for name in logged | set(numbers) if key_of(name) is None]
    shown = {name for section in sections for panel in section.panels for name in panel.among(logged)}
    assert {name for name in logged - shown if not name.startswith(("report/", "cls/report/"))} == set()
    plots = [p for s in workspace(entity="e", project="p", names=sorted(logged)).sections for p in s.panels]
    assert {name for plot in plots for name in plot.y} == shown
    assert sum(len(section.panels) for section in sections) == len(plots) + len(OF_BATCH_NORMALIZERS)


@pytest.mark.slow
def test_the_page_loads_nothing_from_outside(run: SimpleNamespace) -> None:
    text = write_page(run.folder).read_text(encoding="utf-8")
    assert text.count("<script") == 1, "its own"
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    sections = sections_for(RunFolder(run.folder).read_series())
    figures = sum(len(section.panels) for section in sections) - len(OF_BATCH_NORMALIZERS)
    assert text.count("<svg") == figures + 1, "and that of the calibration"
    score = json.loads((run.folder / "results.json").read_text())["metrics"]["report/accuracy"]
    row = re.search(r'<th scope="row">report accuracy</th><td class="number" data-value="([^"]*)">([^<]*)</td>', text)
    assert row is not None
    assert (float(row[1]), row[2]) == (score, numbers.number(score))


@pytest.mark.parametrize("arguments", [["gone"], ["--wandb", "nobody", "gone"]])
def test_user_errors_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("missing", ["key", "package"])
def test_a_workspace_without_an_account(
    tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics.csv").write_text("step,train/loss\n0,1.0\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    if missing == "package":
        monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    assert main(["--wandb", "entity/project", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert {"key": "WANDB_API_KEY", "package": "pip install wandb-workspaces"}[missing] in line


def test_it_imports_no_torch() -> None:
    code = (
        "import sys, clsnorm.dashboard.__main__; sys.exit('torch' in sys.modules or 'pytorch_lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_panels_of_the_workspace_are_over_optimizer_steps() -> None:
    (section,) = workspace(entity="e", project="p", names=["train/loss"]).sections
    assert {panel.x for panel in section.panels} == {"trainer/global_step"}


@pytest.mark.parametrize("options", [[], ["--wandb", "nobody/nothing"]])
def test_a_run_without_its_metrics(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text("{}")
    assert main([*options, str(tmp_path)]) == 2
    assert "metrics.csv" in capsys.readouterr().err


def test_a_page_of_a_folder_without_a_run(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


HOSTILE = "<script>alert(1)</script>"


def test_text_of_a_run_comes_out_escaped(tmp_path: Path) -> None:
    results = {"normalizer": f"n{HOSTILE}", "data": f"d{HOSTILE}", "model": f"m{HOSTILE}", "seed": 0, "steps": 3}
    results |= {"monitor": f"s{HOSTILE}", "metrics": {f"report/s{HOSTILE}": 0.5, f"x{HOSTILE}": None}, "majority": 0.5}
    results |= {"selected_step": 2, "train_examples": 9, "examples_per_second": 1.5, "collapsed": False}
    results |= {"status": "aborted", "aborted_by": f"a{HOSTILE}"}
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "metrics.csv").write_text(f"step,select/s{HOSTILE},y{HOSTILE}$$,z/$a${HOSTILE},z/b\n0,1,2,3,4\n")
    (tmp_path / "events.csv").write_text(f"step,rank,kind,place,value\n1,0,explosion,p{HOSTILE},v{HOSTILE}\n")
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert text.count("<script") == 1, "its own"
    for letter in "ndmsxaypv":
        assert f"{letter}&lt;script&gt;" in text, letter
