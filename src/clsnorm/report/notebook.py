"""Runs as tidy tables, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.report.answers import Conclusions, Options, answer_rows
from clsnorm.report.collected_facts import collected
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.example_table import read_answers
from clsnorm.report.sweeps.run_row import LR, STREAMS, RunRow, read_rows
from clsnorm.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("run", "task", "arm", "lr", "seed")


class Loaded:
    """The runs of some folders. Each table is read when it is first used.

    Example::

        loaded = clsnorm.report.load("multirun/NAME")
        loaded.runs.groupby(["task", "arm"])["score"].agg(["mean", "std"])
        loaded.conclusions().family[0].verdict

    Attributes:
        rows: The runs, as the report reads them.
    """

    def __init__(self, rows: Sequence[RunRow], options: Options) -> None:
        self.rows, self.options = list(rows), options
        named = [row for row in self.rows if "choices" in row.blocks]
        name_arms(named, by=options.by, arms=options.arms)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run, finished or not: arm, seeds, state, score, cost."""
        import pandas as pd

        return pd.DataFrame([self._keys(row) | _outcome(row) for row in self.rows])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row a number of ``results.json``: ``name`` and ``value``."""
        import pandas as pd

        lines = [
            self._keys(row) | {"name": name, "value": np.nan if value is None else float(value)}
            for row in self._finished()
            for name, value in row.results["metrics"].items()
        ]
        return pd.DataFrame(lines)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row a run and report example: id, label, predicted class or value, probability of the label."""
        return self._joined(_examples)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row a logged number: ``name``, ``step``, ``value``."""
        return self._joined(_series)

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row an event, with the columns of ``events.csv``."""
        return self._joined(lambda row: RunFolder(row.path).read_events())

    def conclusions(self) -> Conclusions:
        """Returns the comparisons and verdicts of the report."""
        return answer_rows(self.rows, self.options)

    def facts(self) -> dict[str, Any]:
        """Returns the numbers of the report."""
        return collected(self.conclusions())

    def _finished(self) -> list[RunRow]:
        return [row for row in self.rows if row.finished]

    def _keys(self, row: RunRow) -> dict[str, Any]:
        return dict(zip(KEYS, (str(row.path), row.task, row.arm, row.lr, row.value("seed")), strict=True))

    def _joined(self, read: Any) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for row in self._finished():
            frame = pd.DataFrame(read(row))
            for place, (name, value) in enumerate(self._keys(row).items()):
                frame.insert(place, name, value)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(KEYS))


def load(folder: Path | str | Sequence[Path | str], **options: Any) -> Loaded:
    """Returns the runs in and below one folder or several.

    Args:
        folder: Of sweeps or runs.
        options: Of `clsnorm.report.answers.Options`: baseline, margin, by, arms, draws.

    Raises:
        InputError: If there are no runs.
    """
    folders = [folder] if isinstance(folder, str | Path) else list(folder)
    return Loaded(read_rows([Path(one) for one in folders]), Options(**options))


def _outcome(row: RunRow) -> dict[str, Any]:
    found: dict[str, Any] = {"state": row.state, LR: row.lr}
    found |= {f"seed_{name}": seed for name, seed in zip(STREAMS, row.seeds, strict=True)}
    if row.finished:
        found |= {"status": row.results["status"], "failed": row.failed, "score": row.score, "select": row.select_score}
        found |= {name: row.results.get(name) for name in ("steps", "seconds", "peak_memory_mb", "commit")}
    return found


def _examples(row: RunRow) -> dict[str, Any]:
    answers = read_answers(row.path)
    if answers is None:
        return {}
    found = {"example_id": answers.ids, "label": answers.labels}
    if answers.regression:
        return found | {"value": answers.values}
    places = np.arange(len(answers.ids)), answers.labels.astype(int)
    return found | {"predicted": answers.classes, "p_label": answers.values[places]}


def _series(row: RunRow) -> list[dict[str, Any]]:
    folder = RunFolder(row.path)
    series = folder.read_series() if folder.metrics.exists() else {}
    return [{"name": name, "step": step, "value": value} for name, line in series.items() for step, value in line]
