"""The section of ``docs/data.md`` on the checked rows of data sets, generated from ``docs/data_found.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markdown_table import markdown_table
from prose import fill

NONE = "–"
SPLITS = ("train", "select", "report")
MEASURED = """\
Texts are read and tokenized chunk by chunk. They stay on disk, and so do tokens, in memory-mapped files. What is held
in memory for each row while rows are read, split and drawn (label, hashes of the text, id, split) takes at most about
100 bytes, however long the texts are. Training on all of train takes 16 bytes per row (which rows are used, and the
order of the epoch), 24 while the order is drawn.

Measured on two shared CPU cores, with an empty cache, by `python benchmarks/data_loading.py --rows 1000000 --few`, and
with other numbers of rows (ten million while both cores were busy): *own peak MB* grows by 90 bytes per row from the
first to the third line, by 77 from there to the fifth. *MB before*: the process's
peak after all imports; *peak MB*: at the end, including pages of mapped files, which the system drops when it needs
memory; *own*: without pages of files.

| data | training rows | rows of train | seconds | MB before | peak MB | own MB before | own peak MB |
| --- | --- | --- | --- | --- | --- | --- | --- |
| CSV, 13 MB | 1,000 rows of train | 96,000 | 1.9 | 461 | 564 | 349 | 408 |
| CSV, 13 MB | the same again | 96,000 | 0.2 | 461 | 501 | 349 | 361 |
| CSV, 127 MB | 1,000 rows of train | 996,000 | 13.1 | 460 | 630 | 348 | 485 |
| CSV, 127 MB | the same again | 996,000 | 0.3 | 460 | 500 | 348 | 361 |
| CSV, 1,274 MB | 1,000 rows of train | 9,996,000 | 232.3 | 460 | 1,327 | 349 | 1,181 |
| CSV, 1,274 MB | the same again | 9,996,000 | 1.3 | 460 | 501 | 348 | 361 |
"""


def found_section(found: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Returns the section.

    Args:
        found: Facts about each set, as returned by `clsnorm.data.listing.without_places`.
        names: Names of all sets.
    """
    read = {one["name"]: one for one in found if "published" in one}
    absent = ", ".join(f"`{name}`" for name in names if name not in read)
    head = ["`data=`", "rows", "dropped", "words (95 %)", "majority", "leaked select", "leaked report", "repeats"]
    table = markdown_table(head, [_row(one) for one in read.values()])
    return fill("found", read=len(read), table=table, absent=absent, measured=MEASURED)


def _row(one: Mapping[str, Any]) -> list[str]:
    rows = [f"{split} {one['rows'][split]:,}" for split in SPLITS if split in one["rows"]]
    drops = [f"{split}: {why} {count:,}" for split, reasons in one["drops"].items() for why, count in reasons.items()]
    copies = [
        f"{one['copies'][split]['near']:,}" if split in one["copies"] else NONE for split in (*SPLITS[1:], "train")
    ]
    words, majority = one["words"], one["majority"]
    usual, shown = f"{words['median']:.0f} ({words['p95']:.0f})", f"{majority:.1%}" if majority else NONE
    return [f"`{one['name']}`", " / ".join(rows), ", ".join(drops) or NONE, usual, shown, *copies]
