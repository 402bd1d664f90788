"""`RunRow`: what a report knows of one run, from ``results.json`` and ``config.yaml`` alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.run_folder import RunFolder, find_runs
from clsnorm.run_folder.config_blocks import flat, parsed, read_blocks

FINISHED, UNFINISHED, CRASHED, DAMAGED = "finished", "unfinished", "crashed", "damaged"
STREAMS = ("init", "order", "dropout", "subset", "noise")
LR = "optimizer.lr"
NEEDED = ("data", "normalizer", "model", "seeds", "monitor", "metrics", "status")
DROPPED = ("source", "files", "normalizer_details", "profile")  # long, or looked at once while reading


@dataclass(slots=True)
class RunRow:
    """One run.

    Attributes:
        path: Its folder.
        state: ``finished``, ``unfinished``, ``crashed`` or ``damaged``.
        reason: Why, in a sentence, unless it is finished.
        blocks: ``config.yaml`` by top-level key, as text.
        results: ``results.json`` without its longest parts; empty unless finished.
        source: Digest, rows and copies of the data, from ``results.json``.
        arm: Name of the arm, set by `clsnorm.report.sweeps.arm_names`.
        task: Name of the data set, with what ``--by`` names, set there, too.
        search: Of a run at values that a search has chosen: its space, budget and seeds, set by
            `clsnorm.report.sweeps.searched_runs`; else empty.
    """

    path: Path
    state: str
    reason: str = ""
    blocks: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    arm: str = ""
    task: str = ""
    search: str = ""

    @property
    def finished(self) -> bool:
        return self.state == FINISHED

    def value(self, name: str) -> Any:
        """Returns a value of the configuration by its dotted name; None if there is none."""
        block = self.blocks.get(name.partition(".")[0])
        return None if block is None else flat(block).get(name)

    def choice(self, group: str) -> str:
        """Returns the chosen option of a group."""
        return str(self.value(f"choices.{group}"))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each of `STREAMS`."""
        found = parsed(self.blocks["seeds"]) if "seeds" in self.blocks else {}
        return tuple(int(found.get(stream, 0) or 0) for stream in STREAMS)

    @property
    def lr(self) -> float:
        value = self.value(LR)
        return float(value) if isinstance(value, int | float) else math.nan

    @property
    def mode(self) -> str:
        return "min" if self.value("data.mode") == "min" else "max"

    def metric(self, name: str) -> float:
        """Returns a number of ``results.json``, such as ``report/accuracy``; NaN if it is missing or undefined."""
        value = self.results.get("metrics", {}).get(name)
        return math.nan if value is None else float(value)

    @property
    def score(self) -> float:
        """The monitored metric on the report split, of the selected weights."""
        return self.metric(f"report/{self.results['monitor']}")

    @property
    def select_score(self) -> float:
        """That on the select split."""
        return self.metric(f"select/{self.results['monitor']}")

    @property
    def failed(self) -> bool:
        """Diverged, without a score, or failed by the rule of `clsnorm.failure` (older runs: collapsed)."""
        results = self.results
        named = results.get("failed_selected", results.get("failed", results.get("collapsed", False)))
        return bool(named) or results["status"] == "diverged" or math.isnan(self.score)


def read_rows(folders: Iterable[Path]) -> list[RunRow]:
    """Returns the runs in and below the folders, each once, sorted by path.

    Raises:
        InputError: If a folder does not exist, or none holds a run.
    """
    found: dict[Path, RunFolder] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"Expected {folder} to be a folder with runs, but it does not exist")
        found |= {run.path.resolve(): run for run in find_runs(folder)}
    if not found:
        raise InputError("Expected folders with runs (config.yaml, results.json), but found none")
    return [read_row(found[path]) for path in sorted(found)]


def read_row(run: RunFolder) -> RunRow:
    """Returns one run; a damaged one, too, with its reason."""
    try:
        blocks = read_blocks(run.config)
        for group in ("seeds", "choices", "optimizer", "data"):
            if group in blocks:
                flat(blocks[group])
        results = run.read_results()
        error = None if results is not None else run.read_error()
    except (DamagedFileError, ValueError) as error_:
        return RunRow(run.path, DAMAGED, str(error_))
    if results is None:
        state = CRASHED if error else UNFINISHED
        reason = f"{error['kind']}: {error['message']}"[:200] if error else "it has no results.json yet"
        return RunRow(run.path, state, reason, blocks)
    if missing := [name for name in NEEDED if name not in results]:
        return RunRow(run.path, DAMAGED, f"results.json lacks {', '.join(missing)}", blocks)
    source = _without_paths(results.get("source") or {})
    for name in DROPPED:
        results.pop(name, None)
    return RunRow(run.path, FINISHED, "", blocks, results, source)


def _without_paths(source: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what identifies the data, wherever they lie: digest, classes and rows of the splits."""
    named = {"sha256": source.get("sha256"), "labels": source.get("labels")}
    return named | {"rows": json.dumps(source.get("rows"), sort_keys=True)}
