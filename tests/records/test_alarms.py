"""Alarms of every run, driven by the hooks that the trainer calls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.records import Abort, Divergence, SkippedSteps


class Trainer(SimpleNamespace):
    """What alarms ask of a trainer."""

    def __init__(self, scaler: Any = None) -> None:
        super().__init__(global_step=0, log_every_n_steps=2, is_last_batch=False, should_stop=False)
        self.precision_plugin = SimpleNamespace(scaler=scaler)

    def step(self, alarm: Any, outputs: dict[str, torch.Tensor]) -> None:
        self.global_step += 1
        alarm.on_train_batch_end(self, None, outputs, None, 0)


def outputs(**bad: float) -> dict[str, torch.Tensor]:
    values = {"h": torch.ones(3, 4), "z": torch.ones(3, 4), "loss": torch.ones(())}
    for name, value in bad.items():
        values[name].view(-1)[-1] = value
    return values


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_values_are_told_where_they_were(value: float) -> None:
    told: list[dict[str, Any]] = []
    trainer, alarm = Trainer(), Divergence(lambda **event: told.append(event))
    trainer.step(alarm, outputs(h=value))
    assert told == []  # read only when the trainer logs
    trainer.step(alarm, outputs())
    assert told == [{"step": 2, "kind": "non_finite", "place": "h", "rank": 0}]
    assert (alarm.step, trainer.should_stop) == (-1, False)
    trainer.step(alarm, outputs(z=value))
    trainer.step(alarm, outputs(loss=value))
    assert [event["place"] for event in told] == ["h", "z", "train/loss"]
    assert (alarm.step, trainer.should_stop) == (4, True)


def test_a_step_that_amp_skipped_is_told() -> None:
    told: list[dict[str, Any]] = []
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    trainer, alarm = Trainer(scaler), SkippedSteps(lambda **event: told.append(event))
    alarm.on_train_start(trainer, None)
    for factor in (1.0, 1.0, float("inf"), 1.0, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale(weight.sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        trainer.step(alarm, {})
    assert told == [{"step": 4, "kind": "skipped_step", "place": "loss_scale", "value": 4.0}]
    again = SkippedSteps(lambda **event: told.append(event))
    again.load_state_dict(alarm.state_dict())
    again.on_train_start(trainer, None)
    assert again.state_dict() == {"scale": 4.0}


def test_without_a_scaler_nothing_is_skipped() -> None:
    trainer, alarm = Trainer(), SkippedSteps(lambda **event: pytest.fail(f"told {event}"))
    alarm.on_train_start(trainer, None)
    for _ in range(4):
        trainer.step(alarm, {})


def test_abort_hears_its_kinds_alone_and_remembers() -> None:
    trainer, alarm = Trainer(), Abort(["explosion"], ["explosion", "vanishing"])
    alarm.hear("vanishing")
    trainer.step(alarm, {})
    assert not trainer.should_stop
    alarm.hear("explosion")
    again = Abort(["explosion"], ["explosion"])
    again.load_state_dict(alarm.state_dict())
    again.on_train_start(trainer, None)
    assert trainer.should_stop
    assert again.by == "explosion"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"abort_on.*explosion, vanishing.*'explosions'.*Did you mean"):
        Abort(["explosions"], ["explosion", "vanishing"])
