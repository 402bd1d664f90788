"""The table that an evaluation prints at its end."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any


def print_evaluation(record: dict[str, Any], folder: Path) -> None:
    """Prints each score with its interval, that of the constant prediction, and where the files are."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"{Path(record['run']).name} on {record['data']}"))
    for heading in ("rows", "score", "value", "95 % interval over rows", "constant answer"):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for part, found in record["parts"].items():
        for number, (name, score) in enumerate(found["scores"].items()):
            constant = _number(found["majority"]) if name == record["monitor"] else ""
            ends = [score.get(end) for end in ("low", "high")]
            interval = "" if None in ends else f"{_number(ends[0])} to {_number(ends[1])}"
            rows = "" if number else f"{part}: {found['rows']}"
            table.add_row(escape(rows), escape(name), _number(score["value"]), interval, constant)
        if found["unanswered"]:
            table.add_row("", f"{found['unanswered']} rows have no finite logits: no score", "", "", "")
    console = Console()
    with contextlib.suppress(SystemExit):  # what rich raises if a pipe is closed, as by `| head`
        console.print(table)
        console.print(escape(f"written to {folder}"), soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
