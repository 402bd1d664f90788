"""A run interrupted anywhere ends equal to the bit to an uninterrupted one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kills
import pytest
import torch
from runs import crashing_before, weights

Train = Callable[..., SimpleNamespace]
CADENCES = {
    "each epoch": ["trainer.val_check_interval=1.0"],
    "every four batches": ["trainer.val_check_interval=4"],
    "accumulation": ["trainer.accumulate_grad_batches=2", "trainer.val_check_interval=4"],
}
RECIPE = ("normalizer=batchnorm", "data.max_train_examples=72", "data.batch_size=8", "callbacks=none")
BATCHES = 18  # two epochs of nine


@pytest.mark.slow
@pytest.mark.parametrize("cadence", CADENCES)
def test_every_interruption_point_resumes_bit_equal(
    train: Train, cadence: str, record_property: Callable[[str, Any], None]
) -> None:
    overrides = (*RECIPE, *CADENCES[cadence], "checkpoint_every=1")
    whole = train(*overrides)
    expected, score = weights(whole), whole.score
    equal = 0
    for batch in range(1, BATCHES):
        shutil.rmtree(whole.folder)
        with crashing_before(batch):
            train(*overrides)
        resumed = train(*overrides)
        found = weights(resumed)
        equal += resumed.score == score and all(torch.equal(expected[key], found[key]) for key in expected)
    record_property("bit_equal", f"{equal} of {BATCHES - 1}")
    assert equal == BATCHES - 1


CONFIGURATIONS = {
    "epochs": ["callbacks=[cls_statistics,collapse,saturation,gradient_norms]", "normalizer=dyt"],
    "steps": ["trainer.max_steps=7", "trainer.max_epochs=-1", "callbacks=[collapse,gradient_norms]"],
    "recalibration": ["normalizer=zca_whitening", "classifier.recalibrate_every=1", "callbacks=none"],
    "limited, with workers": ["+trainer.limit_train_batches=3", "data.num_workers=1", "callbacks=none"],
    "accumulation": ["trainer.accumulate_grad_batches=2", "trainer.val_check_interval=0.5", "callbacks=collapse"],
    "aborted": ["normalizer=batchnorm", "optimizer.lr=100", "abort_on=[majority_collapse]", "callbacks=collapse"],
}
SHORT = ("data.max_train_examples=72", "trainer.log_every_n_steps=1", "checkpoint_every=1")  # five steps an epoch


@pytest.fixture
def killed(train: Train, workspace: Path) -> Callable[..., int]:
    """Kills a run at each of its moments ``first::every`` in turn, resuming it in between; returns their number."""

    def killed(*overrides: str, first: int, every: int) -> int:
        def work() -> None:
            train(*SHORT, *overrides)

        moments = kills.moments_of(work, workspace / "moments.json")
        (folder,) = (path.parent for path in workspace.rglob("results.json"))
        whole = kills.contents(folder)
        shutil.rmtree(folder)
        chosen = [moment for moment in moments[first::every] if "on_train_start" not in moment]  # comes but once
        missed = [moment for moment in chosen if not kills.killed_at(work, moment)]
        assert kills.fork(work) == 0
        assert kills.differing(whole, kills.contents(folder)) == []
        assert missed == []
        return len(chosen)

    return killed


@pytest.mark.parametrize(("first", "name"), [*enumerate(CONFIGURATIONS)])
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(
    killed: Callable[..., int], first: int, name: str
) -> None:
    assert killed(*CONFIGURATIONS[name], first=first, every=11) > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_run_killed_at_every_hook_ends_as_one_that_was_not(
    killed: Callable[..., int], name: str, record_property: Callable[[str, Any], None]
) -> None:
    record_property("kills", killed(*CONFIGURATIONS[name], first=0, every=1))
