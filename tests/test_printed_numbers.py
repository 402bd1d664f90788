"""A sample of the numbers that the pages in docs/ print is computed again, by the commands that the pages name."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

Train = Callable[..., SimpleNamespace]
NUMBER = re.compile(r"-?[\d,]*\.?\d+(?:e-?\d+)?")
FIRST = {  # columns of the first table of analysis.md after the number of rows
    "centre/centred_share": 0,
    "energy/top_5": 1,
    "correlation/mean_absolute": 2,
    "spectrum/isoscore": 3,
    "cosine/average": 4,
}
SHARES = ["along_mean", "along_outliers", "along_first_component", "along_3_components", "fisher_ratio", "separability"]


def cells(page: str, heading: str, first: str) -> list[str]:
    """Returns the cells of a table's row below a heading, without the first one."""
    section = page.partition(heading)[2]
    row = next(line for line in section.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def require_printed(text: str, value: float) -> None:
    """Is ``text`` what ``value`` looks like with as many digits, or one unit of the last digit off?"""
    printed = float(text.replace(",", ""))
    unit = 10.0 ** -len(text.partition("e")[0].partition(".")[2])
    if "." not in text:  # such as 5,219, rounded to whole numbers
        unit = 1.0
    assert abs(value - printed) <= 1.01 * unit, f"{value} is printed as {text}"


@pytest.mark.slow
def test_the_page_of_analyses(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/analysis.md").read_text(encoding="utf-8")
    words = ["model=minilm", "data=rotten_tomatoes", "data.max_train_examples=2000", f"paths.analysis={tmp_path}"]
    subprocess.run([sys.executable, "-m", "clsnorm.analyze", *words], check=True, capture_output=True)
    with next(tmp_path.glob("*/analysis.csv")).open(encoding="utf-8") as file:
        rows = {(row["place"], row["statistic"]): row for row in csv.DictReader(file)}
    bias = cells(page, "# [CLS] of the embedded model", "`rotten_tomatoes`")
    assert bias[0] == "2,000"
    for statistic, place in FIRST.items():
        require_printed(bias[1 + place], float(rows["layer06", statistic]["value"]))
    layers = cells(page, "## One bias or two", "`rotten_tomatoes`")
    for offset, statistic in enumerate(("centre/centred_share", "centre/centred_share_without_5")):
        for layer in range(1, 7):
            require_printed(layers[6 * offset + layer - 1], float(rows[f"layer{layer:02}", statistic]["value"]))
    classes = cells(page, "## What lies along the bias", "`rotten_tomatoes`")
    for name, cell in zip(SHARES, classes, strict=True):
        found, printed = rows["layer06", f"classes/{name}"], NUMBER.findall(cell)
        for column, text in zip(("value", "null_low", "null_high"), printed, strict=False):
            require_printed(text, float(found[column]))


@pytest.mark.slow
@pytest.mark.parametrize("dead", ["0", "1e-3"])
def test_the_table_of_dead_dimensions(root: Path, train: Train, dead: str) -> None:
    page = (root / "docs/results.md").read_text(encoding="utf-8").partition("| `normalizer=` | `dead` |")[2]
    row = next(line for line in page.splitlines() if line.startswith(f"| `standardize` | {dead} |"))
    gain, bound, clip = [cell.strip() for cell in row.split("|")[3:6]]
    words = ["data=rotten_tomatoes", "data.max_train_examples=256", "data.max_length=48", "data.batch_size=32"]
    words += ["trainer.max_steps=8", "trainer.log_every_n_steps=1", "callbacks=gradient_norms"]
    run = train(*words, "normalizer=standardize", f"normalizer.dead={dead}", tiny=False)
    with (run.folder / "metrics.csv").open(encoding="utf-8") as file:
        steps = list(csv.DictReader(file))
    for text, name in ((gain, "grad/rms_gain"), (bound, "grad/gain_bound"), (clip, "grad/clip_coefficient")):
        require_printed(text, float(np.mean([float(row[name]) for row in steps if row[name]])))


@pytest.mark.slow
def test_a_row_of_the_table_of_normalizers(root: Path, train: Train) -> None:
    page = (root / "docs/results.md").read_text(encoding="utf-8")
    printed = cells(page, "## Normalizers on Rotten Tomatoes", "`center`")
    words = ["experiment=quickstart", "callbacks=[default,gradient_norms]", "normalizer=center"]
    run = train(*words, tiny=False)
    with np.load(run.folder / "statistics" / "gradients.npz") as stored:
        h, z, bound = (stored[name] for name in ("h", "z", "gain_bound"))
    found = [np.median(h), *np.quantile(h, [0.95, 0.99]), h.max()]
    found += [np.median(z), np.quantile(z, 0.99), z.max(), 1.0, bound.max()]
    for text, value in zip(printed[1:], found, strict=True):
        require_printed(text, float(value))
    scores = json.loads((run.folder / "results.json").read_text())["metrics"]
    require_printed(printed[0], scores["report/accuracy"])
