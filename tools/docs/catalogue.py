"""Writes the tables of the README and the generated pages of ``docs`` in place (``make docs``).

The description of a normalizer or a data set is the first comment line of its YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from found import found_section
from markdown_table import markdown_table
from omegaconf import OmegaConf
from prose import fill

from clsnorm.config.choices import described_options
from clsnorm.data.listing import data_sets, kind, metric_names
from clsnorm.files import write_text

YES, NO = "yes", "–"
FOUND = "docs/data_found.json"  # python -m clsnorm.data --found > docs/data_found.json


def normalizer_table(conf: Path) -> str:
    """Returns the Markdown table of all normalizers: description, calibrated or not, mixes the batch or not."""
    from clsnorm.config.roles import locate

    rows = []
    for key, text, path in described_options(conf / "normalizer"):
        kind: Any = locate(OmegaConf.select(OmegaConf.load(path), "_target_"), "normalizer")
        rows.append([f"`{key}`", text, YES if kind.calibration else NO, YES if kind.mixes_batch else NO])
    return markdown_table(["`normalizer=`", "what it does", "calibrated", "mixes the batch"], rows)


def source(path: Path) -> str:
    """Returns the text after ``Source:`` in the head comment of a YAML, over one or more lines; else empty."""
    _, _, after = path.read_text(encoding="utf-8").partition("# Source: ")
    return after.partition("\n# python ")[0].replace("\n# ", " ")


def contract_table(conf: Path) -> str:
    """Returns the Markdown table of the normalizers' formulas and properties, found by building and running each."""
    from clsnorm.config.roles import locate

    rows = []
    for key, _, path in described_options(conf / "normalizer"):
        node: Any = OmegaConf.to_container(OmegaConf.load(path))
        kind = locate(node.pop("_target_"), "normalizer")
        del node["_partial_"]
        accumulator = kind.calibration.__name__ if kind.calibration else NO
        cells = [f"`{_formula(kind)}`", accumulator, *_properties(kind, node), source(path)]
        rows.append([f"`{key}`", *(cell.replace("|", "\\|") for cell in cells)])
    head = ["`normalizer=`", "formula", "calibrated on", "running statistics", "reduced over devices", "parameters"]
    return markdown_table([*head, "folds into the head", "source"], rows)


def _formula(kind: Any) -> str:
    """Returns the first ``z = ...`` in the docstring of a class, not of its bases."""
    if found := re.search(r"``(z = [^`]+)``", " ".join((vars(kind)["__doc__"] or "").split())):
        return found[1]
    raise ValueError(
        f"Expected the docstring of {kind.__name__} to contain a formula ``z = ...``, but it contains none"
    )


def _properties(kind: Any, arguments: dict[str, Any]) -> list[str]:
    """Returns cells: running statistics, what is reduced over devices, parameters, folds into the head or not."""
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


@cache
def composed_sets(conf: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns `data_sets`, which takes seconds, as the README and the page of data sets both list them."""
    return list(data_sets(conf))


def data_table(conf: Path) -> str:
    """Returns the Markdown table of data sets by kind: one text or a pair; two classes, more classes or a number."""
    kinds: dict[str, list[str]] = {}
    for key, _, node in composed_sets(conf):
        texts, _, answer = kind(node).partition(", ")
        usual = answer if answer in ("2 classes", "a number") else "more classes"
        kinds.setdefault(f"{texts}, {usual}", []).append(f"`{key}`")
    return markdown_table(["kind", "`data=`"], [[name, ", ".join(keys)] for name, keys in sorted(kinds.items())])


def data_page(conf: Path) -> str:
    """Returns the Markdown page of all data sets: task, kind, rows, metrics, citation and licence."""
    rows, names = [], []
    for key, text, node in composed_sets(conf):
        names.append(key)
        stated = [node["rows"].get(split) for split in ("train", "select", "report")]
        counts = " / ".join(f"{count:,}" if count else "–" for count in stated)
        about = node["about"]
        cited = f"[{about['citation']}]({about['url']})" if about["url"] else about["citation"]
        rows.append([f"`{key}`", text, kind(node), counts, ", ".join(metric_names(node)), cited, about["licence"]])
    head = ["`data=`", "what it asks", "kind", "train / select / report", "metrics", "source", "licence"]
    found = json.loads((conf.parent / FOUND).read_text(encoding="utf-8"))
    section = found_section(found, names)
    return fill("data", number=len(rows), table=markdown_table(head, rows), found=section)


TABLES: dict[str, Callable[[Path], str]] = {
    "normalizers": normalizer_table,
    "contracts": contract_table,
    "data": data_table,
}
DOCUMENTS = ("README.md", "docs/normalizers/README.md")  # hand-written, with generated tables


def key_page(conf: Path) -> str:
    """Returns the Markdown page of all numbers that a run logs."""
    from clsnorm.dashboard import KEYS

    rows = [[f"`{key.name}`", key.unit, key.meaning] for key in KEYS]
    return fill("metrics", table=markdown_table(["name", "unit", "meaning"], rows))


def statistics_page(conf: Path) -> str:
    """Returns the Markdown page of all statistics of embeddings."""
    from clsnorm.statistics import CATALOGUE

    rows = []
    for s in CATALOGUE:
        name = f"`{s.name}`, in logs `{s.alias}`" if s.alias else f"`{s.name}`"
        null = "closed" if s.null else YES if s.distribution else NO
        rows.append([name, s.unit, s.meaning.replace("|", "\\|"), null, s.source])
    return fill("statistics", table=markdown_table(["name", "unit", "meaning", "null", "source"], rows))


PAGES: dict[str, Callable[[Path], str]] = {
    "docs/data.md": data_page,
    "docs/metrics.md": key_page,
    "docs/statistics.md": statistics_page,
}


def with_tables(text: str, conf: Path) -> str:
    """Returns ``text`` with the tables between ``<!-- table: NAME -->`` and ``<!-- end -->`` regenerated."""
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            text = head + mark + table(conf) + rest[rest.index("<!-- end -->") :]
    return text


def main() -> None:
    """Rewrites the tables in the `DOCUMENTS` and the pages of ``docs``."""
    conf = Path("conf")
    for document in map(Path, DOCUMENTS):
        write_text(document, with_tables(document.read_text(encoding="utf-8"), conf))
    for name, page in PAGES.items():
        write_text(Path(name), page(conf))


if __name__ == "__main__":
    main()
