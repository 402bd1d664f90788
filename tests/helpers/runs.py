"""Reads the files of a run, and interrupts runs."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm.model import FineTuner

CRASH = "a wire came loose"


def results(run: SimpleNamespace) -> dict[str, Any]:
    return json.loads((run.folder / "results.json").read_text())


def metrics(run: SimpleNamespace) -> dict[str, float]:
    return results(run)["metrics"]


def weights(run: SimpleNamespace) -> dict[str, torch.Tensor]:
    return torch.load(run.folder / "selected.ckpt", weights_only=True)["state_dict"]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def events(run: SimpleNamespace) -> list[dict[str, str]]:
    return rows(run.folder / "events.csv")


def logged_steps(run: SimpleNamespace) -> list[int]:
    return [int(row["step"]) for row in rows(run.folder / "metrics.csv")]


@contextlib.contextmanager
def crashing(owner: Any, name: str, when: Callable[..., bool] = lambda *arguments: True) -> Iterator[None]:
    """Makes a function of ``owner`` crash if its arguments match; the block must end by that crash."""
    original = getattr(owner, name)

    def crash(*arguments: Any) -> Any:
        if when(*arguments):
            raise RuntimeError(CRASH)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, crash)
        with pytest.raises(RuntimeError, match=CRASH):
            yield


def crashing_before(batch: int) -> contextlib.AbstractContextManager[None]:
    """Makes training crash before a batch, counted over all epochs."""
    return crashing(FineTuner, "training_step", lambda self, *_: self.trainer.fit_loop.total_batch_idx == batch)
