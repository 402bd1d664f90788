"""Alarms of every run, driven by the hooks that the trainer calls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm import distributed
from clsnorm.errors import InputError
from clsnorm.records import Abort, Divergence, SkippedSteps


class Trainer(SimpleNamespace):
    """What alarms ask of a trainer."""

    def __init__(self, scaler: Any = None, optimizer: Any = None) -> None:
        self.loop = SimpleNamespace(_batches_that_stepped=0, _should_accumulate=lambda: False)
        super().__init__(log_every_n_steps=2, is_last_batch=False, should_stop=False, optimizers=[optimizer])
        self.fit_loop = SimpleNamespace(epoch_loop=self.loop)
        self.precision_plugin = SimpleNamespace(scaler=scaler)
        self.global_step, self.estimated_stepping_batches = 0, 8

    def step(self, alarm: Any, outputs: dict[str, torch.Tensor]) -> None:
        alarm.on_train_batch_end(self, None, outputs, None, 0)
        self.loop._batches_that_stepped += 1


def outputs(**bad: float) -> dict[str, torch.Tensor]:
    values = {"h": torch.ones(3, 4), "z": torch.ones(3, 4), "loss": torch.ones(())}
    for name, value in bad.items():
        values[name].view(-1)[-1] = value
    return values


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_values_are_counted_in_the_step_they_were_in(value: float) -> None:
    told: list[dict[str, Any]] = []
    trainer, alarm = Trainer(), Divergence(lambda **event: told.append(event))
    bad = outputs(h=value)
    bad["h"][0, :2] = value
    trainer.step(alarm, bad)
    assert told == []  # read only when the trainer logs
    again = Divergence(lambda **event: told.append(event))
    again.load_state_dict(alarm.state_dict())
    for reader in (alarm, again):  # nothing is lost by an interruption in between
        told.clear()
        trainer.loop._batches_that_stepped = 1
        trainer.step(reader, outputs(h=value))
        assert told == [{"step": 0, "kind": "non_finite", "place": "h", "value": 3, "rank": 0}]
    assert (alarm.step, trainer.should_stop) == (-1, False)
    trainer.step(alarm, outputs(z=value))
    trainer.step(alarm, outputs(loss=value))
    assert [(event["place"], event["step"], event["value"]) for event in told[1:]] == [
        ("z", 2, 1),
        ("train/loss", 3, 1),
    ]
    assert (alarm.step, trainer.should_stop) == (3, True)


def test_counts_of_two_processes_go_on_in_one() -> None:
    told: list[dict[str, Any]] = []
    trainer, alarm = Trainer(), Divergence(lambda **event: told.append(event))
    alarm.load_state_dict({"step": -1, "counts": [{0: torch.tensor([1, 0, 0])}, {0: torch.tensor([2, 0, 0])}]})
    alarm.on_fit_end(trainer, None)
    assert [(event["step"], event["value"]) for event in told] == [(0, 3)]


def test_counts_go_on_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "all_reduce_sum", lambda counts: torch.zeros(counts.shape))
    trainer, alarm = Trainer(), Divergence(lambda **event: pytest.fail(f"told {event}"))
    trainer.strategy = SimpleNamespace(root_device=torch.device("meta"))
    alarm.load_state_dict({"step": -1, "counts": [{0: torch.tensor([0, 0, 0])}]})
    alarm.on_train_start(trainer, None)
    trainer.loop._batches_that_stepped = 1
    trainer.step(alarm, {name: value.to("meta") for name, value in outputs().items()})


def test_a_step_that_amp_skipped_is_told() -> None:
    told: list[dict[str, Any]] = []
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    trainer, alarm = Trainer(scaler, optimizer), SkippedSteps(lambda **event: told.append(event))
    alarm.on_train_start(trainer, None)
    for factor in (1.0, 1.0, float("inf"), 1.0, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale(weight.sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        trainer.step(alarm, {})
    assert told == [{"step": 2, "kind": "skipped_step", "place": "loss_scale", "value": 4.0}]


def test_without_a_scaler_nothing_is_skipped() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    trainer, alarm = Trainer(optimizer=optimizer), SkippedSteps(lambda **event: pytest.fail(f"told {event}"))
    alarm.on_train_start(trainer, None)
    for _ in range(4):
        optimizer.step()
        trainer.step(alarm, {})


def test_abort_hears_its_kinds_alone_and_remembers() -> None:
    trainer, alarm = Trainer(), Abort(["explosion"], ["explosion", "vanishing"])
    alarm.hear("vanishing")
    trainer.step(alarm, {})
    assert not trainer.should_stop
    alarm.hear("explosion")
    for acts in (False, True):  # interrupted before it has stopped training, and after
        if acts:
            trainer.step(alarm, {})
        fresh, again = Trainer(), Abort(["explosion"], ["explosion"])
        again.load_state_dict(alarm.state_dict())
        again.on_train_start(fresh, None)
        assert (fresh.should_stop, again.by) == (True, "explosion")


@pytest.mark.parametrize("ended", [{"should_stop": True}, {"global_step": 8}])
def test_what_is_told_when_training_has_ended_has_not_ended_it(ended: dict[str, Any]) -> None:
    trainer, alarm = Trainer(), Abort(["explosion"], ["explosion"])
    for name, value in ended.items():
        setattr(trainer, name, value)
    alarm.hear("explosion")
    trainer.step(alarm, {})
    alarm.on_validation_end(trainer, None)
    assert alarm.by is None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"abort_on.*explosion, vanishing.*'explosions'.*Did you mean"):
        Abort(["explosions"], ["explosion", "vanishing"])
