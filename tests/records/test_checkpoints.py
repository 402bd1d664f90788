"""`SelectedWeights` and `ResumePoint`, in fits of Lightning's real trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from scripted_fit import At, Validated, fit, outputs

from clsnorm.records import ResumePoint, SelectedWeights
from clsnorm.records.checkpoints import count_events, data_fingerprint, position

STEPS = [outputs()] * 8
SCORES = (0.2, 0.5, 0.5, 0.1)  # after 2, 4, 6 and 8 steps


def validated_fit(*callbacks: Callback, scores: Sequence[float] = SCORES, **options: Any) -> pl.Trainer:
    every = len(STEPS) // len(scores)
    validation = torch.utils.data.DataLoader(torch.zeros(1, 1))
    options |= {"val": validation, "val_check_interval": every, "enable_checkpointing": True}
    return fit(Validated(STEPS, scores), *callbacks, **options)


def resume_point(path: Path, *, every: int = 3, commit: str = "first") -> ResumePoint:
    return ResumePoint(path, every=every, data="abc", events=["one", "two"], commit=commit)


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


def test_a_resumed_run_logs_and_stores_the_commits_of_its_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "last.ckpt"
    validated_fit(resume_point(path), max_steps=4)
    again = resume_point(path, commit="second")
    validated_fit(again, resume=path, max_steps=6)
    assert again.commits == ["first", "second"]
    assert "began at commit first and resumes at second" in caplog.text
    same = resume_point(path, commit="second")
    validated_fit(same, resume=path)
    assert same.commits == ["first", "second"]
    assert position(path, batches_per_epoch=8) == (1, 0, 8)
