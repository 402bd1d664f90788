"""How much of the spread of scores comes from the head's first weights, the order of examples, dropout, the subset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clsnorm.report.comparisons import score
from clsnorm.report.inference.factorial import components
from clsnorm.report.sweeps.run_row import STREAMS, RunRow

Runs = Mapping[tuple[str, str], Sequence[RunRow]]  # by data set and arm
Factor = tuple[str, tuple[int, ...]]  # streams that move together, and the level of each run


def variance_lines(runs: Runs) -> list[dict[str, Any]]:
    """Returns a line for each source of variance of each data set and arm; one with the reason if there is none."""
    lines = []
    for (task, arm), rows in runs.items():
        factors, rest = factors_of([row.seeds for row in rows])
        if reason := refusal(factors, len(rows)):
            lines.append({"task": task, "arm": arm, "source": "", "reason": reason})
            continue
        table = _table(factors, rows)
        if not np.isfinite(table).all():
            lines.append({"task": task, "arm": arm, "source": "", "reason": "a run has no score"})
            continue
        for one in components(table):
            names = [factors[place][0] for place in one.factors]
            last = len(names) == len(factors)
            source = " x ".join(names) + (f" and the rest{f' ({rest})' if rest else ''}" if last else "")
            line: dict[str, Any] = {"task": task, "arm": arm, "source": source, "reason": "", "free": one.free}
            line |= {"variance": one.variance, "sd": math.sqrt(max(one.variance, 0.0))}
            lines.append(line | {"share": one.share, "low": one.low, "high": one.high})
    return lines


def factors_of(seeds: Sequence[tuple[int, ...]]) -> tuple[list[Factor], str]:
    """Returns what varies: streams whose seeds always change together are one factor.

    Streams with another seed in each run cannot be told from the rest if others vary, too; they are named apart.
    """
    levels: dict[tuple[int, ...], list[str]] = {}
    for place, name in enumerate(STREAMS):
        column = [one[place] for one in seeds]
        order = {seed: number for number, seed in enumerate(dict.fromkeys(column))}
        if len(order) > 1:
            levels.setdefault(tuple(order[seed] for seed in column), []).append(name)
    found = [("+".join(names), column) for column, names in levels.items()]
    several = [one for one in found if len(set(one[1])) < len(seeds)]
    rest = [name for name, column in found if len(set(column)) == len(seeds)]
    return (several, ", ".join(rest)) if several else (found, "")


def refusal(factors: Sequence[Factor], runs: int) -> str:
    """Returns why the design cannot tell sources apart; empty if it can."""
    if not factors:
        return "all runs share all seeds"
    if len(factors) == 1:
        name, column = factors[0]
        if len(set(column)) < runs:
            return f"{name} recurs, but is crossed with no other stream"
        return f"{name} always change together" if "+" in name else f"only {name} varies"
    cells = math.prod(len(set(column)) for _, column in factors)
    distinct = len(set(zip(*(column for _, column in factors), strict=True)))
    if distinct < cells or runs != cells:
        names = " and ".join(name for name, _ in factors)
        return f"{names} are not fully crossed: {distinct} of {cells} combinations, in {runs} runs"
    return ""


def _table(factors: Sequence[Factor], rows: Sequence[RunRow]) -> np.ndarray:
    shape = tuple(len(set(column)) for _, column in factors)
    table = np.full(shape, np.nan)
    for row, *places in zip(rows, *(column for _, column in factors), strict=True):
        table[tuple(places)] = score(row)
    return table
