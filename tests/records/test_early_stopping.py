"""`EarlyStopping`, in fits of Lightning's real trainer and in whole runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from runs import crashing, crashing_before, results, weights
from scripted_fit import Validated, fit, outputs

from clsnorm.errors import InputError
from clsnorm.records import EarlyStopping

Train = Callable[..., SimpleNamespace]
SCORES = ["select/loss", "select/score"]


def stopping(**options: Any) -> EarlyStopping:
    callback = EarlyStopping(**options)
    callback.choose(SCORES, monitor="select/score", mode="max")
    return callback


def validations(callback: EarlyStopping, scores: list[float], **options: Any) -> int:
    """Returns after how many validations, one after each step, training ended."""
    options = {"val": torch.utils.data.DataLoader(torch.zeros(1, 1)), "val_check_interval": 1, **options}
    return int(fit(Validated([outputs()] * len(scores), scores), callback, **options).global_step)


@pytest.mark.parametrize(
    ("options", "scores", "ends"),
    [
        ({"patience": 2}, [0.5, 0.6, 0.6, 0.5, 0.9, 0.9], 4),  # equal is no better
        ({"patience": 1}, [0.5, 0.6, 0.7, 0.7, 0.8], 4),
        ({"patience": 2}, [0.5, 0.4, 0.6, 0.5, 0.7, 0.6], 6),  # the last step: training has ended anyway
        ({"patience": 2, "min_delta": 0.1}, [0.5, 0.55, 0.59, 0.7, 0.8], 3),
        ({"patience": 2, "min_delta": 0.1}, [0.5, 0.55, 0.61, 0.65, 0.7, 0.72], 5),  # slow gains add up
        ({"patience": 2, "mode": "min"}, [0.5, 0.4, 0.4, 0.6, 0.1], 4),
        ({"patience": 2}, [math.nan, math.inf, 0.9, 0.9], 2),  # neither is a score
        ({"patience": 2}, [math.nan, 0.1, math.inf, 0.2, 0.3], 5),
        ({"patience": 2, "mode": "min"}, [-math.inf, 0.5, 0.4, 0.3, 0.2], 5),
    ],
)
def test_training_ends_after_validations_without_a_better_score(
    options: dict[str, Any], scores: list[float], ends: int
) -> None:
    callback = stopping(**options)
    assert validations(callback, scores) == ends
    assert callback.stopped is (ends < len(scores))


def test_the_count_survives_an_interruption(tmp_path: Path) -> None:
    scores, last = [0.5, 0.6, 0.6, 0.5, 0.9, 0.9], tmp_path / "last.ckpt"

    class Save(pl.Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.global_step == 3:
                trainer.save_checkpoint(last)

    again = stopping(patience=2)
    validated = [Validated([outputs()] * len(scores), scores) for _ in range(2)]
    options = {"val": torch.utils.data.DataLoader(torch.zeros(1, 1)), "val_check_interval": 1}
    fit(validated[0], stopping(patience=2), Save(), **options)
    assert fit(validated[1], again, resume=last, **options).global_step == 4
    assert again.state_dict() == {"best": pytest.approx(0.6), "waited": 2, "stopped": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience`.*at least 1"),
        ({"patience": 1.5}, "patience`.*1.5"),
        ({"mode": "maximum"}, "mode`.*'maximum'.*Did you mean 'max'"),
        ({"min_delta": -1}, "min_delta`.*-1"),
        ({"min_delta": math.nan}, "min_delta`.*nan"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EarlyStopping(**options)


@pytest.mark.parametrize("monitor", ["val_loss", "select/acuracy", "train/loss", "report/accuracy", ""])
@pytest.mark.parametrize("kind", ["clsnorm.records.EarlyStopping", "pytorch_lightning.callbacks.ModelCheckpoint"])
def test_a_misspelt_monitor_is_refused_before_training(train: Train, monitor: str, kind: str) -> None:
    with pytest.raises(InputError, match=rf"`callbacks\.\w+\.monitor` .*select/loss, select/accuracy.*'{monitor}'"):
        train("callbacks=none", f"+callbacks.early_stopping={{_target_:{kind},monitor:'{monitor}'}}")


def test_the_mode_of_another_score_must_be_set(train: Train) -> None:
    several = (
        "data.metrics={accuracy:{_target_:torchmetrics.classification.MulticlassAccuracy,_partial_:true},"
        "f1:{_target_:torchmetrics.classification.MulticlassF1Score,_partial_:true}}"
    )
    with pytest.raises(InputError, match=r"early_stopping\.mode` to be max or min for select/f1, but got None"):
        train(several, "callbacks=early_stopping", "callbacks.early_stopping.monitor=select/f1")


# The weights hardly move, so that the score never improves after the first validation.
STUCK = (
    *("callbacks=early_stopping", "callbacks.early_stopping.patience=2", "checkpoint_every=1", "optimizer.lr=1e-12"),
    *("data.max_train_examples=40", "data.batch_size=8", "trainer.max_epochs=6", "trainer.log_every_n_steps=1"),
)


def ending(run: SimpleNamespace) -> Any:
    found = results(run)
    numbers = {name: value for name, value in found["metrics"].items() if "seconds" not in name}
    return found["status"], found["steps"], found["epochs"], found["selected_step"], numbers


def test_a_run_that_stopped_early_is_complete(train: Train) -> None:
    run = train(*STUCK)
    assert ending(run)[:4] == ("completed", 15, 3, 5)
    other = train(*STUCK, "callbacks.early_stopping.patience=3")
    assert other.folder != run.folder  # it changes the result, so it is part of the name
    assert results(other)["steps"] == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "cadence",
    [
        ["trainer.val_check_interval=1.0"],
        ["trainer.val_check_interval=2"],
        ["trainer.accumulate_grad_batches=2", "trainer.val_check_interval=3"],  # validated within a step
        ["+trainer.check_val_every_n_epoch=2", "callbacks.early_stopping.patience=1"],
        ["callbacks.early_stopping.monitor=select/loss", "callbacks.early_stopping.min_delta=1"],
    ],
    ids=["each epoch", "within epochs", "within steps", "every second epoch", "loss"],
)
def test_a_run_killed_anywhere_leaves_the_same_files(train: Train, cadence: list[str]) -> None:
    from clsnorm.experiment import run as experiment

    options = (*STUCK, *cadence)
    whole = train(*options)
    expected, stored = ending(whole), weights(whole)
    steps = results(whole)["steps"]
    for batch in (steps // 2, steps - 1, -1):  # the last kill comes after training, before the report pass
        shutil.rmtree(whole.folder)
        with crashing(experiment, "conclude") if batch == -1 else crashing_before(batch):
            train(*options)
        again = train(*options)
        assert ending(again) == expected, batch
        assert all(torch.equal(weights(again)[name], weight) for name, weight in stored.items())
