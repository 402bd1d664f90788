"""The layout against the numbers of a real run, and the page of that run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wandb_file import wandb_records

from clsnorm.dashboard import KEYS, Panel, key_of, sections_for
from clsnorm.dashboard.__main__ import main
from clsnorm.dashboard.curves import draw
from clsnorm.dashboard.run_page import write_page
from clsnorm.dashboard.workspace import workspace
from clsnorm.pages import numbers
from clsnorm.run_folder import RunFolder

OPTIONS = [
    "normalizer=standardize",  # calibrated, so that there is a drift to show
    "model.tap=pooler",
    "callbacks=[cls_statistics,collapse,gradient_norms]",
    "callbacks.cls_statistics.every=1",
    "trainer.log_every_n_steps=1",
    "logger=wandb",
    "trainer.max_epochs=1",
]
SVG = "{http://www.w3.org/2000/svg}"


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
    for section in sections:
        for panel in section.panels:
            assert panel.among(logged), panel.title
    numbers = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert not [name for name in logged | set(numbers) if key_of(name) is None]
    shown = {name for section in sections for panel in section.panels for name in panel.among(logged)}
    assert {name for name in logged - shown if not name.startswith(("report/", "cls/report/"))} == set()
    plots = [p for s in workspace(entity="e", project="p", names=sorted(logged)).sections for p in s.panels]
    assert {name for plot in plots for name in plot.y} == shown
    assert sum(len(section.panels) for section in sections) == len(plots)


def test_the_page_loads_nothing_from_outside(run: SimpleNamespace) -> None:
    text = write_page(run.folder).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    sections = sections_for(RunFolder(run.folder).read_series())
    assert text.count("<svg") == sum(len(section.panels) for section in sections)
    score = json.loads((run.folder / "results.json").read_text())["metrics"]["report/accuracy"]
    assert f'<td>report accuracy</td><td class="number">{numbers.number(score)}</td>' in text


def test_a_value_that_is_not_finite_is_marked() -> None:
    panel = Panel("Norms", ("a/*",), "norm", log=True)
    plain = ET.fromstring(draw(panel, {"a/x": [(0, 1.0), (1, 2.0), (2, 3.0)]}))
    marked = ET.fromstring(draw(panel, {"a/x": [(0, 1.0), (1, math.inf), (2, 3.0)]}))
    assert plain.find(".//*[@id='not-finite']") is None
    mark = marked.find(".//*[@id='not-finite']")
    assert mark is not None
    assert len(list(mark.iter(f"{SVG}use"))) == 1


def shown(panel: Panel, series: dict[str, list[tuple[int, float]]], **options: Any) -> ET.Element:
    return ET.fromstring(draw(panel, series, **options))


def test_the_figure_shows_start_noise_and_events() -> None:
    panel = Panel("Share", ("cls/*",), "share")
    line = {"cls/select/h/x": [(9, 0.5), (19, 0.4)]}
    began = shown(panel, {**line, "cls/start/h/x": [(0, 0.9)], "cls/noise/x": [(0, 0.1)]}, events=[7, 7, 12])
    plain = shown(panel, line)
    for name, number in (("noise", 1), ("event", 2)):
        assert (len(plain.findall(f".//*[@id='{name}']")), len(began.findall(f".//*[@id='{name}']"))) == (0, number)
    texts = {element.text for element in began.iter(f"{SVG}text")}
    assert {"Share (share)", "noise"} <= texts  # one line, so that no other name is needed
    assert "h" not in texts
    dots = [len(list(group.iter(f"{SVG}use"))) for group in (began, plain)]
    assert dots[0] > dots[1]


def test_steps_are_whole_numbers() -> None:
    figure = shown(Panel("Loss", ("train/loss",), "nats"), {"train/loss": [(0, 1.0), (1, 0.5), (2, 0.2)]})
    ticks = [element.text or "" for element in figure.iter(f"{SVG}text")]
    assert {"0", "1", "2"} <= set(ticks)
    assert "0.5" in ticks  # a loss may be a fraction
    assert "1.5" not in ticks


def test_numbers_without_a_panel_get_one() -> None:
    names = ["cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis", "cls/select/layer01/isoscore", "report/loss"]
    names += ["cls/start/layer01/isoscore", "grad/parameters/layer01/norm", "grad/parameters/layer02/norm"]
    *_, rest = sections_for(names)
    assert {panel.title: panel.keys for panel in rest.panels} == {
        "cls/select/*/isoscore": ("cls/select/layer01/isoscore", "cls/start/layer01/isoscore"),
        "cls/select/*/tails/kurtosis": ("cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis"),
        "grad/parameters/*/norm": ("grad/parameters/layer01/norm", "grad/parameters/layer02/norm"),
    }


def test_drawing_twice_gives_the_same_text() -> None:
    panel = Panel("Loss", ("train/loss",), "nats")
    series = {"train/loss": [(step, 1 / (step + 1)) for step in range(30)]}
    assert draw(panel, series) == draw(panel, series)


def test_keys_do_not_shadow_each_other() -> None:
    for name in ("select/loss", "cls/start/z/centred_share", "grad/run/h_of_sum/p99", "grad/update_ratio/layer03/ffn"):
        found = key_of(name)
        assert found is not None
        assert found is next(key for key in KEYS if key.regex.fullmatch(name))
    assert key_of("grad/h/nonsense") is None


@pytest.mark.parametrize("arguments", [["gone"], ["--wandb", "nobody", "gone"]])
def test_mistakes_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "<script" not in text
    for letter in "ndmsxaypv":
        assert f"{letter}&lt;script&gt;" in text, letter
