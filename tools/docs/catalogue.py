"""The tables of the README and the generated pages of ``docs``: ``make docs`` writes them in place.

A normalizer's or a data set's description is the first comment line of its YAML, so it is said once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from found import found_section
from markdown_table import markdown_table
from omegaconf import OmegaConf

from clsnorm.config.choices import described_options
from clsnorm.data.listing import data_sets, kind, metric_names
from clsnorm.files import write_text

YES, NO = "yes", "–"
FOUND = "docs/data_found.json"  # python -m clsnorm.data --found > docs/data_found.json


def normalizer_table(conf: Path) -> str:
    """Returns the Markdown table of all normalizers: what each does, and the contract its class states."""
    from clsnorm.config.roles import locate

    rows = []
    for key, text, path in described_options(conf / "normalizer"):
        kind: Any = locate(OmegaConf.select(OmegaConf.load(path), "_target_"), "normalizer")
        rows.append([f"`{key}`", text, YES if kind.calibration else NO, YES if kind.mixes_batch else NO])
    return markdown_table(["`normalizer=`", "what it does", "calibrated", "mixes the batch"], rows)


def source(path: Path) -> str:
    """Returns what a YAML's head comment says after ``Source:``, over one line or several; empty if it says nothing."""
    _, _, after = path.read_text(encoding="utf-8").partition("# Source: ")
    return after.partition("\n# python ")[0].replace("\n# ", " ")


def contract_table(conf: Path) -> str:
    """Returns the Markdown table of what each normalizer computes and promises, found out by building and using it."""
    from clsnorm.config.roles import locate

    rows = []
    for key, _, path in described_options(conf / "normalizer"):
        node: Any = OmegaConf.to_container(OmegaConf.load(path))
        kind = locate(node.pop("_target_"), "normalizer")
        del node["_partial_"]
        accumulator = kind.calibration.__name__ if kind.calibration else NO
        cells = [f"`{_formula(kind)}`", accumulator, *_found_out(kind, node), source(path)]
        rows.append([f"`{key}`", *(cell.replace("|", "\\|") for cell in cells)])
    head = ["`normalizer=`", "formula", "calibrated on", "running statistics", "reduced over devices", "parameters"]
    return markdown_table([*head, "folds into the head", "source"], rows)


def _formula(kind: Any) -> str:
    """Returns the first ``z = ...`` in the documentation of a class itself."""
    if found := re.search(r"``(z = [^`]+)``", " ".join((vars(kind)["__doc__"] or "").split())):
        return found[1]
    raise ValueError(f"Expected the docstring of {kind.__name__} to give a formula as ``z = ...``, but it gives none")


def _found_out(kind: Any, arguments: dict[str, Any]) -> list[str]:
    """Returns, in words: running statistics, what is reduced over devices, parameters, and whether the map folds."""
    import torch

    h = torch.randn(64, 48, generator=torch.Generator().manual_seed(0))
    normalizer = kind(48, **arguments)
    if kind.calibration:
        accumulator = kind.calibration(48)
        accumulator.update(h)
        normalizer.calibrate(accumulator)
    before = {name: buffer.clone() for name, buffer in normalizer.named_buffers()}
    normalizer(h)
    runs = any(not torch.equal(before[name], buffer) for name, buffer in normalizer.named_buffers())
    sizes = [sum(p.numel() for p in kind(dim, **arguments).parameters()) for dim in (24, 48)]
    slope = (sizes[1] - sizes[0]) // 24
    terms = [f"{slope if slope > 1 else ''}d"] * bool(slope) + [str(sizes[0] - 24 * slope)] * (sizes[0] != 24 * slope)
    affine = normalizer.as_affine()
    folds = f"no: it {kind.bends}" if affine is None else ("diagonal" if affine[0].ndim == 1 else "matrix")
    return [YES if runs else NO, kind.reduces or NO, " + ".join(terms) or NO, folds]


def data_table(conf: Path) -> str:
    """Returns the Markdown table of data sets by kind, from one text and two classes to pairs and numbers."""
    kinds: dict[str, list[str]] = {}
    for key, _, node in data_sets(conf):
        texts, _, answer = kind(node).partition(", ")
        usual = answer if answer in ("2 classes", "a number") else "more classes"
        kinds.setdefault(f"{texts}, {usual}", []).append(f"`{key}`")
    return markdown_table(["kind", "`data=`"], [[name, ", ".join(keys)] for name, keys in sorted(kinds.items())])


def data_page(conf: Path) -> str:
    """Returns the Markdown page of all data sets: what each asks, its kind, rows, metrics, citation and licence."""
    rows, names = [], []
    for key, text, node in data_sets(conf):
        names.append(key)
        stated = [node["rows"].get(split) for split in ("train", "select", "report")]
        counts = " / ".join(f"{count:,}" if count else "–" for count in stated)
        about = node["about"]
        cited = f"[{about['citation']}]({about['url']})" if about["url"] else about["citation"]
        rows.append([f"`{key}`", text, kind(node), counts, ", ".join(metric_names(node)), cited, about["licence"]])
    head = ["`data=`", "what it asks", "kind", "train / select / report", "metrics", "source", "licence"]
    found = json.loads((conf.parent / FOUND).read_text(encoding="utf-8"))
    return (
        f"# Data sets\n\n{len(rows)} data sets, each of them one YAML in `conf/data`. Rows are those of the published"
        " files, checked when they are read; – means carved from train, or any number. The first metric chooses the"
        " checkpoint. Licences are what the files or their authors say; ask them before you pass data on.\n\n"
        "`python -m clsnorm.data` lists what can be read here and now, with lengths, balance and leakage;"
        " `python -m clsnorm.data NAME` shows examples. Subsets, label noise, leaked rows, files of your own: [options"
        " of the data](data_options.md).\n\n" + markdown_table(head, rows) + "\n" + found_section(found, names)
    )


TABLES: dict[str, Callable[[Path], str]] = {
    "normalizers": normalizer_table,
    "contracts": contract_table,
    "data": data_table,
}
DOCUMENTS = ("README.md", "docs/normalizers/README.md")  # written by hand around their tables


def key_page(conf: Path) -> str:
    """Returns the Markdown page of all numbers that a run logs."""
    from clsnorm.dashboard import KEYS

    rows = [[f"`{key.name}`", key.unit, key.meaning] for key in KEYS]
    head = """# Logged numbers

Names in `metrics.csv`, in `results.json` and in every logger.

The column `step` of `metrics.csv` and of `events.csv`, and the steps that loggers are told, number optimizer steps from
0: row n holds what was seen in step n, and in the validation that follows it. What is measured before training
(`cls/start/...`) stands at 0, what is measured after it (`report/...`) at the number of all steps. `steps` and
`selected_step` in `results.json` count steps: weights selected after 40 of them were validated in row 39. Where
`trainer.max_steps` ends training within an epoch and no validation is due, one is made after training, in the row of
the number of all steps: 7 after the steps 0 to 6. An event of a resume or of a recalibration has the number of the step
that comes next.

What is sent at once is bounded, for a model of L layers, in JSON with 75 bytes a number: `gradient_norms` at most
45 + 9 L numbers a logged step (153, or 12 kB, for 12 layers); `cls_statistics` its numbers at two places (L + 5 with
`layers`) and 3 more a validation, and before training what noise shows; W&B alone six histograms of 64 bins, about
10 kB, at most once an epoch.

"""
    return head + markdown_table(["name", "unit", "says"], rows)


def statistics_page(conf: Path) -> str:
    """Returns the Markdown page of all statistics of embeddings."""
    from clsnorm.statistics import CATALOGUE

    rows = []
    for s in CATALOGUE:
        name = f"`{s.name}`, in logs `{s.alias}`" if s.alias else f"`{s.name}`"
        rows.append([name, s.unit, s.meaning.replace("|", "\\|"), YES if s.null else NO, s.source])
    head = """# Statistics of embeddings

`clsnorm.statistics.describe(snapshot)` returns all of them. They come from accumulators that are exact for any split
of the data over batches and processes. Numbers of a sample use 2,048 rows, chosen by the hashes of their ids, so they
do not depend on the split either. The slope of the spectrum leaves out the last tenth of the eigenvalues. The NC2
numbers are undefined with two classes, which always form a simplex. *Null*: whether the expected value for as many rows
of isotropic noise (for classes: for random labels) is known; it is then reported, too.

To add a statistic, write a formula with the decorator `@statistic` in the file of its family,
`src/clsnorm/statistics/families/FAMILY.py`, and a reference in `tests/statistics/families/test_FAMILY.py`.

"""
    return head + markdown_table(["name", "unit", "meaning", "null", "source"], rows)


PAGES: dict[str, Callable[[Path], str]] = {
    "docs/data.md": data_page,
    "docs/metrics.md": key_page,
    "docs/statistics.md": statistics_page,
}


def with_tables(text: str, conf: Path) -> str:
    """Returns ``text`` with what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            text = head + mark + table(conf) + rest[rest.index("<!-- end -->") :]
    return text


def main() -> None:
    """Writes the tables of the `DOCUMENTS` and the pages of ``docs`` anew."""
    conf = Path("conf")
    for document in map(Path, DOCUMENTS):
        write_text(document, with_tables(document.read_text(encoding="utf-8"), conf))
    for name, page in PAGES.items():
        write_text(Path(name), page(conf))


if __name__ == "__main__":
    main()
