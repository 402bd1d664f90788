"""`Divergence` and `SkippedSteps`, in fits of Lightning's real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from scripted_fit import At, fit, outputs

from clsnorm.records import Divergence, SkippedSteps


@pytest.fixture
def reported() -> list[dict[str, Any]]:
    return []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_values_are_counted_in_the_step_they_were_in(value: float, reported: list[dict[str, Any]]) -> None:
    alarm = Divergence(lambda **event: reported.append(event))
    bad = outputs(h=value)
    bad["h"][0, :2] = value
    counts: list[int] = []
    script = [bad, outputs(h=value), outputs(z=value), outputs(loss=value), *[outputs()] * 4]
    trainer = fit(script, alarm, *(At(batch, lambda _: counts.append(len(reported))) for batch in range(4)))
    assert counts == [0, 1, 1, 3]  # read only when the trainer logs
    assert reported[0] == {"step": 0, "kind": "non_finite", "place": "h", "value": 3, "rank": 0}
    assert [(event["place"], event["step"], event["value"]) for event in reported[1:]] == [
        ("z", 2, 1),
        ("train/loss", 3, 1),
    ]
    assert (alarm.step, trainer.global_step) == (3, 4)


def test_a_finite_loss_does_not_stop(reported: list[dict[str, Any]]) -> None:
    alarm = Divergence(lambda **event: reported.append(event))
    assert fit([outputs(h=float("nan"))] * 4, alarm).global_step == 4
    assert (alarm.step, len(reported)) == (-1, 2)


def test_counts_survive_an_interruption(tmp_path: Path, reported: list[dict[str, Any]]) -> None:
    path = tmp_path / "last.ckpt"
    script = [outputs(h=float("nan")), *[outputs()] * 3]
    fit(script, Divergence(lambda **event: None), At(0, lambda trainer: trainer.save_checkpoint(path)))
    alarm = Divergence(lambda **event: reported.append(event))
    fit(script, alarm, resume=path)
    assert [(event["step"], event["value"]) for event in reported] == [(0, 1)]


def test_counts_of_two_processes_resume_in_one(reported: list[dict[str, Any]]) -> None:
    alarm = Divergence(lambda **event: reported.append(event))
    alarm.load_state_dict({"step": -1, "counts": [{7: torch.tensor([1, 0, 0])}, {7: torch.tensor([2, 0, 0])}]})
    fit([outputs()] * 2, alarm)
    assert [(event["step"], event["value"]) for event in reported] == [(7, 3)]


def test_a_step_that_amp_skipped_is_reported(reported: list[dict[str, Any]]) -> None:
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0))
    alarm = SkippedSteps(lambda **event: reported.append(event))
    script = [outputs(), outputs(), outputs(loss=float("inf")), outputs(), outputs()]
    fit(script, alarm, plugins=[precision])
    assert reported == [{"step": 2, "kind": "skipped_step", "place": "loss_scale", "value": 4.0}]


def test_without_a_scaler_nothing_is_skipped() -> None:
    fit([outputs()] * 4, SkippedSteps(lambda **event: pytest.fail(f"reported {event}")))
