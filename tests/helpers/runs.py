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
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer import call

from clsnorm.lightning_loop import StepHooks
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


def wrap_hooks(
    wrap: Callable[[pl.Trainer, str, Callable[[], Any]], Any], *, patch: Callable[[Any, str, Any], None] = setattr
) -> None:
    """Has each hook of the callbacks, called by Lightning or by `StepLoop`, called by ``wrap``.

    Args:
        wrap: Takes the trainer, the name of the hook, and a function that calls it, whose value it returns.
        patch: Sets an attribute.
    """
    of_lightning, of_steps = call._call_callback_hooks, StepHooks.call

    def lightning(trainer: pl.Trainer, hook: str, *arguments: Any, **named: Any) -> Any:
        return wrap(trainer, hook, lambda: of_lightning(trainer, hook, *arguments, **named))

    def steps(hooks: StepHooks, hook: str, *arguments: Any) -> Any:
        return wrap(hooks.trainer, hook, lambda: of_steps(hooks, hook, *arguments))

    patch(call, "_call_callback_hooks", lightning)
    patch(StepHooks, "call", steps)


def crashing_before(batch: int) -> contextlib.AbstractContextManager[None]:
    """Makes training crash before a batch, counted over all epochs."""
    return crashing(FineTuner, "training_step", lambda self, *_: self.trainer.fit_loop.total_batch_idx == batch)
