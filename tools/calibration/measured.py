"""Cells of the table of calibration, and the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from clsnorm.report.inference.crossed import Crossed

SEEDS = (3, 5, 10, 20)
BEGIN, END = "<!-- calibration -->", "<!-- end calibration -->"


@dataclass(frozen=True)
class Measured:
    """One cell of the table.

    Attributes:
        promise: What was measured, and the level that is promised.
        method: The interval or test.
        world: How the data were made.
        seeds: Number of seeds.
        value: The measured share.
        simulations: Of how many.
    """

    promise: str
    method: str
    world: str
    seeds: int
    value: float
    simulations: int


def covers(block: Crossed, truth: float = 0.0) -> np.ndarray:
    """Returns whether each interval holds the true difference."""
    low, high = block.interval()
    return (low <= truth) & (high >= truth)


def falsely_equivalent(block: Crossed, margin: float) -> np.ndarray:
    """Returns whether equivalence is claimed where the true difference, 0 in ``block``, is moved to the margin."""
    return moved(block, margin).equivalence_p(margin) <= 0.05


def moved(block: Crossed, by: float | np.ndarray) -> Crossed:
    """Returns the analysis of the same tables with a constant added to each."""
    return Crossed(**(asdict(block) | {"mean": block.mean + by}))


def grouped(rows: list[Measured]) -> list[dict[str, object]]:
    """Returns one line for each promise, method and world, with the value at each number of seeds."""
    lines: dict[tuple[str, str, str], dict[str, object]] = {}
    for row in rows:
        line = lines.setdefault(
            (row.method.startswith("rejected"), row.promise, row.method, row.world),  # type: ignore[arg-type]
            {"promise": row.promise, "method": row.method, "world": row.world, "simulations": row.simulations},
        )
        line[str(row.seeds)] = round(row.value, 4)
    return [lines[key] for key in sorted(lines)]


def markdown(lines: list[dict[str, object]]) -> str:
    """Returns the table of the documentation."""
    heads = ["promise", "method", "data", *(f"{seeds} seeds" for seeds in SEEDS), "simulations"]
    rows = [["---", "---", "---", *["---:"] * (len(SEEDS) + 1)]]
    for line in lines:
        values = [line.get(str(seeds)) for seeds in SEEDS]
        cells = ["–" if value is None else f"{100 * float(value):.2f} %" for value in values]  # type: ignore[arg-type]
        rows.append([*(str(line[key]) for key in ("promise", "method", "world")), *cells, f"{line['simulations']:,}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, *rows])


def with_table(page: str, lines: list[dict[str, object]]) -> str:
    """Returns a page with the table between its two marks."""
    before, _, rest = page.partition(f"{BEGIN}\n")
    return f"{before}{BEGIN}\n{markdown(lines)}\n{END}{rest.partition(END)[2]}"
