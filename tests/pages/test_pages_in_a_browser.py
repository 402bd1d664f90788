"""All pages in headless Chromium, made by the commands that users type: errors, requests, accessibility, tables."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages_in_chromium import Open

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.slow
PAGES = ("report", "run", "overlay", "analysis", "analyses", "probes", "ablation")


def type_command(*words: str, folder: Path) -> None:
    settings = {"OMP_NUM_THREADS": "1", "CLSNORM_CACHE": str(folder / "cache"), "WANDB_MODE": "offline"}
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, root: Path, tiny_overrides: list[str]) -> dict[str, Path]:
    """Each kind of page."""
    folder = tmp_path_factory.mktemp("pages")
    grid = ["normalizer=identity,standardize", "seed=0,1,2"]
    type_command(str(root / "train.py"), "-m", *tiny_overrides, *grid, folder=folder)
    (sweep,) = (folder / "multirun").iterdir()
    runs = sorted(path.parent for path in sweep.glob("*/results.json"))
    type_command("-m", "clsnorm.report", str(sweep), folder=folder)
    type_command("-m", "clsnorm.dashboard", str(runs[0]), folder=folder)
    type_command("-m", "clsnorm.dashboard", *map(str, runs), folder=folder)
    kept = ("data", "model")
    analyzed = [word for word in tiny_overrides if word.startswith(kept) and not word.startswith("data.batch_size")]
    sizes = "data.max_train_examples=40,60"
    type_command("-m", "clsnorm.analyze", "-m", *analyzed, sizes, "accelerator=cpu", folder=folder)
    type_command("-m", "clsnorm.probes", *analyzed, "accelerator=cpu", folder=folder)
    few = ("--random_sets", "20", "--resamples", "20", "--refit_sets", "5", "--label_draws", "5")
    type_command("-m", "clsnorm.ablation", str(runs[0]), "--accelerator", "cpu", *few, folder=folder)
    return {
        "report": sweep / "report" / "report.html",
        "run": runs[0] / "dashboard.html",
        "overlay": folder / "runs.html",
        "analysis": next((folder / "analysis").glob("*/analysis.html")),
        "analyses": folder / "analysis" / "index.html",
        "probes": next((folder / "probes").rglob("probes.html")),
        "ablation": next(folder.rglob("ablation.html")),
    }


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (800, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(pages: dict[str, Path], open_page: Open, name: str, width: int, scheme: str) -> None:
    with open_page(pages[name], width=width, scheme=scheme) as opened:
        assert opened.errors == []
        assert opened.requests == []
        assert opened.violations() == []
        assert opened.overflow() <= 0, "tables scroll within the page"
        assert opened.empty_figures() == []


@pytest.mark.parametrize("name", PAGES)
def test_every_entry_of_the_contents_leads_to_its_heading(pages: dict[str, Path], open_page: Open, name: str) -> None:
    with open_page(pages[name]) as opened:
        entries = opened.page.locator("nav a").all()
        for entry in entries:
            heading = opened.page.locator(f'h2[id="{(entry.get_attribute("href") or "")[1:]}"]')
            assert heading.text_content() == entry.text_content()
        assert len(entries) == opened.page.locator("h2[id]").count() or len(entries) == 0


def numbers_in(table: Locator) -> list[float]:
    values = [float(cell.get_attribute("data-value") or "nan") for cell in table.locator("td.number").all()]
    return [value for value in values if not math.isnan(value)]


def test_tables_sort_filter_and_are_saved(pages: dict[str, Path], open_page: Open, tmp_path: Path) -> None:
    with open_page(pages["run"]) as opened:
        page = opened.page
        page.locator("summary").last.click()
        table = page.locator("table.sortable").last
        head = table.get_by_role("button", name="value")
        head.focus()
        page.keyboard.press("Enter")  # sorted without a mouse
        found = numbers_in(table)
        assert found == sorted(found)
        assert len(found) > 20
        head.click()
        assert numbers_in(table) == sorted(found, reverse=True)
        table.get_by_role("button", name="number").click()
        page.get_by_label("Filter rows of Numbers of results.json").fill("REPORT loss")
        shown = table.locator("tbody tr:not([hidden]) td:first-child").all_inner_texts()
        assert shown == ["last/report/loss", "report/loss"]
        with page.expect_download() as download:
            page.get_by_label("Save Numbers of results.json as CSV").click()
        download.value.save_as(tmp_path / "numbers.csv")
        assert download.value.suggested_filename == "numbers_of_results_json.csv"
        lines = (tmp_path / "numbers.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["number", *shown]


def test_a_figure_is_saved_as_it_is_drawn(pages: dict[str, Path], open_page: Open, tmp_path: Path) -> None:
    with open_page(pages["overlay"]) as opened:
        button = opened.page.locator("figure button").first
        with opened.page.expect_download() as download:
            button.click()
        download.value.save_as(tmp_path / "figure.svg")
        assert (tmp_path / "figure.svg").read_text().startswith("<svg")
        assert (button.get_attribute("aria-label") or "").startswith("Save figure as SVG: ")


def test_the_point_under_the_pointer_is_named(pages: dict[str, Path], open_page: Open) -> None:
    with open_page(pages["run"]) as opened:
        figure = opened.page.locator("figure svg[data-lines]").first
        line = json.loads(figure.get_attribute("data-lines") or "")[0]
        x, y, *values = line["points"][-1]
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        assert box is not None
        opened.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        tip = opened.page.locator(".tip")
        assert tip.is_visible()
        assert all(value in (tip.text_content() or "") for value in (line["name"], *values))
        opened.page.mouse.move(0, 0)
        assert tip.is_hidden()


def test_what_is_no_use_on_paper_is_not_printed(pages: dict[str, Path], open_page: Open) -> None:
    with open_page(pages["run"]) as opened:
        opened.page.emulate_media(media="print")
        for selector in ("nav", ".tools", "button.save"):
            assert not any(part.is_visible() for part in opened.page.locator(selector).all()), selector


def test_saved_cells_are_no_formulas(open_page: Open, tmp_path: Path) -> None:
    from clsnorm.pages.rendering import write_html

    path = write_html(
        tmp_path / "page.html",
        "dashboard/templates/overlay.html.jinja",
        title="A page",
        subtitle="",
        runs=[{"link": "x", "label": label, "state": "", "monitor": "m", "score": -0.5} for label in ("=1+1", 'a,"b')],
        sections=[],
    )
    with open_page(path) as opened:
        with opened.page.expect_download() as download:
            opened.page.get_by_label("Save Runs as CSV").click()
        download.value.save_as(tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == ('run,state,metric,report split\n\'=1+1,,m,-0.5\n"a,""b",,m,-0.5\n')
