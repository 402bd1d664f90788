"""The tables of the README and the generated pages of ``docs``: ``python -m clsnorm.catalogue`` writes them in place.

A normalizer's or a data set's description is the first comment line of its YAML, so it is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clsnorm.files import write_text

YES, NO = "yes", "–"


def options(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yields key, description and path of each option of a config group, without those whose name starts with ``_``."""
    for path in sorted(folder.glob("[!_]*.yaml")):
        yield path.stem, description(path), path


def description(path: Path) -> str:
    """Returns the sentences of a YAML's head comment that stand before the line with its command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line.startswith("# python "):
            break
        if not line.startswith("# @"):  # a directive to Hydra
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def normalizer_table(conf: Path) -> str:
    """Returns the Markdown table of all normalizers: what each does, and the contract its class states."""
    from clsnorm.instantiation import locate

    rows = []
    for key, text, path in options(conf / "normalizer"):
        kind: Any = locate(OmegaConf.select(OmegaConf.load(path), "_target_"), "normalizer")
        rows.append([f"`{key}`", text, YES if kind.calibration else NO, YES if kind.mixes_batch else NO])
    return _markdown(["`normalizer=`", "what it does", "calibrated", "mixes the batch"], rows)


def data_table(conf: Path) -> str:
    """Returns the Markdown table of all data sets: what each asks, and its metrics, the monitored one first."""
    from hydra import compose, initialize_config_dir

    rows = []
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for key, text, _ in options(conf / "data"):
            data = OmegaConf.to_container(compose("train", [f"data={key}"]).data, resolve=False)
            assert isinstance(data, dict)
            monitor = data["monitor"]
            metrics = [monitor, *(name for name in data["metrics"] or {} if name != monitor)]
            rows.append([f"`{key}`", text, ", ".join(filter(None, metrics))])
    return _markdown(["`data=`", "what it asks", "metrics"], rows)


TABLES: dict[str, Callable[[Path], str]] = {"normalizers": normalizer_table, "data": data_table}


def key_page(conf: Path) -> str:
    """Returns the Markdown page of all numbers that a run logs."""
    from clsnorm.dashboard import KEYS

    rows = [[f"`{key.name}`", key.unit, key.meaning] for key in KEYS]
    head = "# Logged numbers\n\nNames in `metrics.csv`, in `results.json` and in every logger.\n\n"
    return head + _markdown(["name", "unit", "says"], rows)


def statistics_page(conf: Path) -> str:
    """Returns the Markdown page of all statistics of embeddings."""
    from clsnorm.statistics import CATALOGUE

    rows = [[f"`{s.name}`", s.unit, s.meaning.replace("|", "\\|"), YES if s.null else NO, s.source] for s in CATALOGUE]
    head = """# Statistics of embeddings

`clsnorm.statistics.describe(snapshot)` gives all of them, from accumulators that are exact for any split of the data
over batches and processes. *Null*: whether the value that as many rows of isotropic noise (or classes at random) would
show stands beside it.

"""
    return head + _markdown(["name", "unit", "says", "null", "source"], rows)


PAGES: dict[str, Callable[[Path], str]] = {"docs/metrics.md": key_page, "docs/statistics.md": statistics_page}


def with_tables(text: str, conf: Path) -> str:
    """Returns ``text`` with what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        text = head + mark + table(conf) + rest[rest.index("<!-- end -->") :]
    return text


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Writes the tables of ``README.md`` and the pages of ``docs`` anew."""
    readme = Path("README.md")
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), Path("conf")), encoding="utf-8")
    for name, page in PAGES.items():
        write_text(Path(name), page(Path("conf")))


if __name__ == "__main__":
    main()
