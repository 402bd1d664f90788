"""`StepLoop` makes Lightning's steps: the same hooks in the same order, the same numbers, the same states."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loops import _TrainingEpochLoop
from runs import results, rows, weights
from torch.utils.data import DataLoader

from clsnorm import lightning_loop
from clsnorm.experiment import assembly
from clsnorm.lightning_loop import HOOKS, SharedNorms, StepHooks, StepLoop, share_norms, take_steps

Train = Callable[..., SimpleNamespace]
ROWS = [torch.randn(4, 3, generator=torch.Generator().manual_seed(number)) for number in range(7)]
TIMES = ("seconds", "share", "per_second", "memory")


class Small(pl.LightningModule):
    """A linear model that logs in its step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(3, 2)
        self.trace: list[Any] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, torch.Tensor]:
        loss = self.linear(batch).square().mean()
        self.log("loss", loss)
        self.trace.append(("training_step", batch_idx, loss.item()))
        return {"loss": loss, "twice": 2 * loss.detach()}

    def on_before_backward(self, loss: torch.Tensor) -> None:
        self.trace.append(("module", "on_before_backward", loss.item()))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Replacing(Small):
    """Replaces a part of the step."""

    def optimizer_zero_grad(self, *arguments: Any) -> None:
        self.trace.append("own zero_grad")
        super().optimizer_zero_grad(*arguments)


class Ending(Small):
    """Ends each epoch before its fourth batch."""

    def on_train_batch_start(self, batch: torch.Tensor, batch_idx: int) -> int | None:
        self.trace.append(("module", "on_train_batch_start"))
        return -1 if batch_idx == 3 else None


class Saving(pl.Callback):
    """Saves the state after some batch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 4:
            trainer.save_checkpoint(self.path)


class Watching(pl.Callback):
    """Overrides all hooks, and logs in one of them."""


def _hook(name: str) -> Callable[..., int]:
    def hook(self: Watching, trainer: pl.Trainer, module: Any, *arguments: Any) -> int:
        gradients = [None if p.grad is None else p.grad.tolist() for p in module.parameters()]
        values = [p.tolist() for p in module.parameters()]
        outputs = arguments[0] if name == "on_train_batch_end" else {}
        numbers = {key: value.item() for key, value in outputs.items()}
        module.trace.append((name, trainer.global_step, gradients, values, numbers, torch.is_grad_enabled()))
        if name == "on_after_backward":
            module.log("watched", float(trainer.global_step))
        return -1  # Lightning ignores it from a callback

    return hook


for _name in HOOKS:
    setattr(Watching, _name, _hook(_name))


def fitted(
    module: Small, folder: Path, *, steps: bool, resume: Path | None = None, **options: Any
) -> tuple[pl.Trainer, list[Any]]:
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=2,
        callbacks=[pl.Callback(), Watching(), Saving(folder / f"{steps}.ckpt")],
        **options,
    )
    if steps:
        take_steps(trainer)
    trainer.fit(module, DataLoader(ROWS, batch_size=None), ckpt_path=resume)  # type: ignore[arg-type]  # a list is a dataset
    return trainer, module.trace


@pytest.mark.parametrize("module", [Small, Replacing, Ending])
@pytest.mark.parametrize(
    "options",
    [
        {"gradient_clip_val": 0.1},
        {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value", "accumulate_grad_batches": 3},
        {"max_steps": 5},
    ],
)
def test_steps_call_the_same_hooks_with_the_same_numbers(
    module: type[Small], options: dict[str, Any], tmp_path: Path
) -> None:
    (ours, trace), (theirs, expected) = (fitted(module(), tmp_path, steps=steps, **options) for steps in (True, False))
    assert isinstance(ours.fit_loop.epoch_loop, StepLoop)
    assert type(theirs.fit_loop.epoch_loop) is _TrainingEpochLoop
    assert trace == expected
    assert {name for name, *_ in trace if name in HOOKS} == set(HOOKS)
    assert ours.fit_loop.state_dict() == theirs.fit_loop.state_dict()
    assert ours.callback_metrics == theirs.callback_metrics
    assert {"loss", "watched"} <= ours.callback_metrics.keys()


class Sharing(pl.Callback):
    """Shares norms of gradients, right ones or not, and then changes some gradients or none."""

    def __init__(self, change: Callable[[Any], Any], *, factor: float = 1.0) -> None:
        self._change, self._factor = change, factor

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        parameters = list(pl_module.parameters())
        norms = torch._foreach_norm([p.grad for p in parameters])  # type: ignore[arg-type]
        share_norms(trainer, parameters, [self._factor * norm for norm in norms])
        self._change(pl_module)


def _replace(module: Any) -> None:
    module.linear.bias.grad = module.linear.bias.grad + 1


def trained(callback: pl.Callback, folder: Path, *, steps: bool = True) -> list[torch.Tensor]:
    module, silent = Small(), {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        gradient_clip_val=0.1,
        callbacks=[callback],
        enable_model_summary=False,
        default_root_dir=folder,
        **silent,  # type: ignore[arg-type]
    )
    if steps:
        take_steps(trainer)
    trainer.fit(module, DataLoader(ROWS, batch_size=None))  # type: ignore[arg-type]
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize(
    ("change", "used"),
    [
        (lambda module: None, True),
        (lambda module: module.linear.weight.grad.mul_(3), False),
        (_replace, False),
        (lambda module: setattr(module.linear.bias, "grad", None), True),  # those of the others are the same
    ],
)
def test_shared_norms_clip_to_the_bit_and_are_ignored_if_gradients_have_changed(
    change: Callable[[Any], Any], used: bool, tmp_path: Path
) -> None:
    expected = trained(Sharing(change), tmp_path, steps=False)
    assert all(map(torch.equal, trained(Sharing(change), tmp_path), expected))
    wrong = trained(Sharing(change, factor=100.0), tmp_path)
    assert all(map(torch.equal, wrong, expected)) == (not used)


def test_norms_of_missing_parameters_are_not_enough() -> None:
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = torch.ones(2)
    shared = SharedNorms.of(parameters[:1], [torch.tensor(1.0)])
    assert shared.are_of(parameters[:1])
    assert not shared.are_of(parameters)
    assert not shared.are_of([])


def test_the_steps_after_a_resume_are_lightnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, theirs = _TrainingEpochLoop.advance, []

    def advance(loop: Any, *arguments: Any) -> None:
        theirs.append(loop.trainer.global_step)
        original(loop, *arguments)

    whole = fitted(Small(), tmp_path, steps=True)[1]
    monkeypatch.setattr(_TrainingEpochLoop, "advance", advance)
    traces = []
    for steps in (True, False):
        theirs.clear()
        traces.append(fitted(Small(), tmp_path, steps=steps, resume=tmp_path / "True.ckpt")[1])
        assert theirs == [*range(4, 14)]
    assert traces[0] == traces[1]
    assert len(traces[0]) < len(whole)


def test_only_overridden_hooks_are_called_and_parts_replaced_by_a_module_are_left_to_lightning(tmp_path: Path) -> None:
    trainer, _ = fitted(Small(), tmp_path, steps=True)
    hooks = StepHooks(trainer)
    trainer.lightning_module.trace.clear()
    hooks.call("on_before_backward", torch.ones(()))
    assert [entry[:2] for entry in trainer.lightning_module.trace] == [
        ("on_before_backward", trainer.global_step),
        ("module", "on_before_backward"),
    ]
    assert trainer.fit_loop.epoch_loop._hooks is not None
    replaced, _ = fitted(Replacing(), tmp_path, steps=True)
    assert replaced.fit_loop.epoch_loop._hooks is None


def test_hooks_of_callbacks_that_come_and_go_during_a_fit_are_called(tmp_path: Path) -> None:
    calls: list[str] = []

    class Late(pl.Callback):
        def on_before_backward(self, *arguments: Any) -> None:
            calls.append("late")

    trainer, _ = fitted(Small(), tmp_path, steps=True)
    hooks, late = StepHooks(trainer), Late()
    for change in (trainer.callbacks.append, trainer.callbacks.remove):
        change(late)
        hooks.call("on_before_backward", torch.ones(()))
        assert calls == ["late"]


def test_each_private_name_of_the_base_exists(tmp_path: Path) -> None:
    base = pl.Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path).fit_loop.epoch_loop
    (loop,) = (
        node
        for node in ast.parse(Path(lightning_loop.__file__).read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "StepLoop"
    )
    own = {name for name in vars(StepLoop) if name not in vars(_TrainingEpochLoop)}
    used = {
        node.attr
        for node in ast.walk(loop)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    assert {"_should_accumulate", "batch_progress"} <= used
    assert [name for name in used - own if not hasattr(base, name)] == []


def numbers(found: dict[str, Any]) -> dict[str, Any]:
    """The results of a run, without times and names."""
    kept = ("metrics", "steps", "selected_step", "collapsed", "failed", "failure", "status", "normalizer_details")
    return {
        key: {name: value for name, value in found[key].items() if not any(word in name for word in TIMES)}
        if key == "metrics"
        else found[key]
        for key in kept
    }


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.freeze=all", "normalizer=layernorm", "callbacks=[default,gradient_norms]"),
        ("normalizer=batchnorm", "trainer.accumulate_grad_batches=3", "optimizer=sgd", "regularizer=cosreg"),
    ],
)
def test_a_run_equals_one_of_lightnings_loop_to_the_bit(
    train: Train, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [train(*overrides)]
    expected = rows(runs[0].folder / "metrics.csv"), weights(runs[0]), numbers(results(runs[0]))
    monkeypatch.setattr(assembly, "take_steps", lambda trainer: None)
    monkeypatch.setattr("clsnorm.model.finetuner.log_again", lambda *arguments: False)
    other = train(*overrides, "force=true")
    assert rows(other.folder / "metrics.csv") == expected[0]
    assert all(torch.equal(weights(other)[name], tensor) for name, tensor in expected[1].items())
    assert numbers(results(other)) == expected[2]
