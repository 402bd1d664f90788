"""The section of ``docs/data.md`` on the checked rows of data sets, generated from ``docs/data_found.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markdown_table import markdown_table
from prose import fill

NONE = "–"
SPLITS = ("train", "select", "report")
MEASURED = """\
Texts are read and tokenized chunk by chunk, and what is asked of all rows (splits, copies, subsets) is found by going
over their columns on disk piece by piece. So memory grows neither with the length nor with the number of the texts, but
for a byte a row of train while splits are carved, or eight where labels are numbers; about 100 bytes for each copy of a
text, if one text makes up a large part of train; and about 140 bytes a row of a training subset while it is drawn.
Training on all of train takes eight bytes a row for the order of an epoch, 16 while it is drawn; label noise, 22.
Tokens stay in mapped files.

Measured on two shared CPU cores, on a fresh cache, by
`python benchmarks/data_loading.py --data FOLDER --rows 1000000 --few`, with more rows, and for all of train on a
fresh cache of its own. *MB before*: the process's peak once all is imported; *peak MB*: at the end, pages of mapped
files included, which the system drops when it needs them; *own*: without pages of files.

| data | what is asked | rows of train | seconds | MB before | peak MB | own MB before | own peak MB |
| --- | --- | --- | --- | --- | --- | --- | --- |
| SST-2 | 1,000 rows of train | 65,349 | 1.4 | 463 | 561 | 351 | 409 |
| SST-2 | the same again | 65,349 | 0.3 | 464 | 503 | 353 | 364 |
| SST-2 | all of train, read before | 65,349 | 1.4 | 463 | 573 | 351 | 423 |
| SST-2 | the same again | 65,349 | 0.2 | 464 | 528 | 353 | 382 |
| CSV, 127 MB | 1,000 rows of train | 996,000 | 14.7 | 464 | 621 | 352 | 474 |
| CSV, 127 MB | the same again | 996,000 | 0.3 | 464 | 506 | 352 | 365 |
| CSV, 1,274 MB | 1,000 rows of train | 9,996,000 | 181.8 | 464 | 615 | 353 | 467 |
| CSV, 1,274 MB | the same again | 9,996,000 | 2.3 | 465 | 506 | 352 | 365 |
| CSV, 127 MB | all of train | 996,000 | 69.1 | 463 | 778 | 351 | 510 |
| CSV, 127 MB | the same again | 996,000 | 0.6 | 464 | 664 | 352 | 413 |
| CSV, 382 MB | all of train | 2,996,000 | 199.4 | 464 | 1,025 | 352 | 539 |
| CSV, 382 MB | the same again | 2,996,000 | 2.3 | 463 | 880 | 351 | 411 |
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
