"""A run interrupted anywhere ends equal to the bit to an uninterrupted one (one CPU process)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

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
