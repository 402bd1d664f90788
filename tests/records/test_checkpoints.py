"""`SelectedWeights`, `ValidatedWeights` and `ResumePoint`, in fits of Lightning's real trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from runs import CRASH
from scripted_fit import At, Validated, fit, outputs

from clsnorm.lightning_internals import step_number
from clsnorm.records import ResumePoint, SelectedWeights, ValidatedWeights
from clsnorm.records.checkpoints import count_events, data_fingerprint, position
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.events import Events
from clsnorm.run_folder.table_digest import TableDigest

STEPS = [outputs()] * 8
SCORES = (0.2, 0.5, 0.5, 0.1)  # after 2, 4, 6 and 8 steps


def validated_fit(*callbacks: Callback, scores: Sequence[float] = SCORES, **options: Any) -> pl.Trainer:
    every = len(STEPS) // len(scores)
    validation = torch.utils.data.DataLoader(torch.zeros(1, 1))
    options |= {"val": validation, "val_check_interval": every, "enable_checkpointing": True}
    return fit(Validated(STEPS, scores), *callbacks, **options)


def crash(trainer: pl.Trainer) -> None:
    raise RuntimeError(CRASH)


def interrupted(*callbacks: Callback, **options: Any) -> None:
    """Such a fit, which one of the callbacks must crash."""
    with pytest.raises(RuntimeError, match=CRASH):
        validated_fit(*callbacks, **options)


def resume_point(path: Path, *, every: int = 3, commit: str = "first") -> ResumePoint:
    events = Events(path.with_name("events.csv"))
    events.keep_first(0)
    for kind in ("one", "two"):
        events.add(step=0, kind=kind)
    return ResumePoint(path, every=every, data="abc", events=events, metrics=TableDigest(), commit=commit)


@pytest.mark.parametrize(
    ("mode", "scores", "step"),
    [
        ("max", SCORES, 4),
        ("min", SCORES, 8),
        ("min", (0.2, 0.1, 0.1, 0.3), 4),
        ("max", (math.nan, 0.1, math.inf, math.nan), 4),
        ("min", (math.nan, math.inf, math.nan, math.nan), 8),
    ],
)
def test_the_earliest_of_the_best_finite_validations_is_stored(
    tmp_path: Path, mode: str, scores: tuple[float, ...], step: int
) -> None:
    selected = SelectedWeights(tmp_path / "selected.ckpt", monitor="select/score", mode=mode)
    validated_fit(selected, scores=scores)
    found = torch.load(selected.path, weights_only=True)
    assert found["global_step"] == selected.step == step
    assert "optimizer_states" not in found
    assert selected.metrics == pytest.approx({"select/score": scores[step // 2 - 1]}, nan_ok=True)
    assert selected.last_validated == len(STEPS)
    assert [path.name for path in tmp_path.iterdir()] == ["selected.ckpt"]


def test_each_validation_s_weights_are_stored_also_after_an_interruption(tmp_path: Path) -> None:
    folder, last = RunFolder(tmp_path), tmp_path / "last.ckpt"
    validated_fit(At(4, lambda trainer: trainer.save_checkpoint(last)), ValidatedWeights(folder))
    whole = {step: path.read_bytes() for step, path in folder.validated_weights().items()}
    assert [*whole] == [2, 4, 6, 8]
    found = torch.load(folder.weights_after(4), weights_only=True)
    assert found["global_step"] == 4
    assert "optimizer_states" not in found
    folder.weights_after(8).unlink()
    folder.weights_after(6).write_bytes(b"of another attempt")
    draft = folder.weights_after(6).with_name(".step-000006.ckpt")
    draft.write_bytes(b"of a run that was killed")
    assert draft in folder.checkpoint_drafts()
    validated_fit(ValidatedWeights(folder), resume=last)
    assert {step: path.read_bytes() for step, path in folder.validated_weights().items()} == whole


def test_the_selection_survives_an_interruption(tmp_path: Path) -> None:
    path, last = tmp_path / "selected.ckpt", tmp_path / "last.ckpt"
    first, again = (SelectedWeights(path, monitor="select/score", mode="max") for _ in range(2))
    validated_fit(At(4, lambda trainer: trainer.save_checkpoint(last)), first)
    validated_fit(again, resume=last)
    assert again.state_dict() == first.state_dict()
    assert again.step == 4


def test_resume_points_follow_every_third_step_and_each_validation(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    found: list[int] = []

    def look(trainer: pl.Trainer) -> None:
        found.append(position(path, batches_per_epoch=8)[2] if path.exists() else 0)

    validated_fit(*(At(batch, look) for batch in range(8)), resume_point(path), scores=(0.1, 0.2))
    assert found == [0, 0, 0, 3, 4, 4, 4, 7]  # a file takes its place when the next step begins
    assert position(path, batches_per_epoch=8) == (1, 0, 8)
    assert (data_fingerprint(path), count_events(path)) == ("abc", 2)


def test_a_validation_due_after_a_step_precedes_its_resume_point(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    order: list[str] = []

    class Order(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            order.append("validation")

        def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
            order.append("resume point")

    validated_fit(Order(), resume_point(path, every=1), scores=(0.1, 0.2, 0.3, 0.4))
    assert order == ["resume point", "validation", "resume point"] * 4


class Ends(Callback):
    """Records, as its state, what it sees at the hooks that end an epoch, training and the fit.

    Args:
        stop: Ends training after the validation that follows this step.
        crash_at: The name of such a hook, and how often it came before the crash.
    """

    def __init__(self, *, stop: int | None = None, crash_at: tuple[str, int] | None = None) -> None:
        self.stop, self.crash_at = stop, crash_at
        self.seen: list[tuple[str, int, int, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen = [*state_dict["seen"]]

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.should_stop |= trainer.global_step == self.stop

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._see(trainer, "epoch")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._see(trainer, "training")

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._see(trainer, "fit")

    def _see(self, trainer: Any, name: str) -> None:
        if (name, [row[0] for row in self.seen].count(name)) == self.crash_at:
            raise RuntimeError(CRASH)
        score = float(trainer.callback_metrics["select/score"])
        self.seen.append((name, trainer.current_epoch, trainer.global_step, score))


ENDINGS: dict[str, tuple[dict[str, Any], int | None]] = {
    "all epochs": ({"max_epochs": 2}, None),
    "steps": ({"max_epochs": -1, "max_steps": 6}, None),
    "steps without a validation": ({"max_epochs": -1, "max_steps": 7}, None),
    "stopped": ({"max_epochs": 2}, 6),
    "stopped at the end of an epoch": ({"max_epochs": 3}, 4),
    "stopped, after at least two epochs": ({"max_epochs": 3, "min_epochs": 2}, 2),
    "no validation at the end of an epoch": ({"max_epochs": 2, "val_check_interval": 3}, None),
    "accumulation": ({"max_epochs": 2, "accumulate_grad_batches": 3, "val_check_interval": 4}, None),
}


@pytest.mark.parametrize("crash_at", [("epoch", 0), ("epoch", 1), ("training", 0), ("fit", 0)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_training_ends_the_same_however_it_is_interrupted(
    tmp_path: Path, ending: str, crash_at: tuple[str, int]
) -> None:
    """Each hook of the end comes once, with the same epoch, step and score; the last file is final."""
    options, stop = ENDINGS[ending]
    options = {"limit_train_batches": 4, **options}  # two epochs of the eight steps
    path = tmp_path / "last.ckpt"

    def state(trainer: pl.Trainer, ends: Ends) -> tuple[Any, ...]:
        return ends.seen, trainer.current_epoch, step_number(trainer), position(path, batches_per_epoch=0)

    whole, again = Ends(stop=stop), Ends(stop=stop)
    expected = state(validated_fit(whole, resume_point(path, every=1), **options), whole)
    path.unlink()
    if len([row for row in whole.seen if row[0] == crash_at[0]]) <= crash_at[1]:
        return  # this ending has one epoch
    interrupted(Ends(stop=stop, crash_at=crash_at), resume_point(path, every=1), **options)
    assert state(validated_fit(again, resume_point(path, every=1), resume=path, **options), again) == expected


def test_a_resumed_run_logs_and_stores_the_commits_of_its_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "last.ckpt"
    interrupted(At(4, crash), resume_point(path))
    again = resume_point(path, commit="second")
    interrupted(At(6, crash), again, resume=path)
    assert again.commits == ["first", "second"]
    assert "began at commit first and resumes at second" in caplog.text
    same = resume_point(path, commit="second")
    validated_fit(same, resume=path)
    assert same.commits == ["first", "second"]
    assert position(path, batches_per_epoch=8) == (1, 0, 8)
