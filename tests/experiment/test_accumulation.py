"""Accumulated gradients are those of the mean loss over all examples of the optimizer step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import runs
import torch

from clsnorm.errors import InputError

Train = Callable[..., SimpleNamespace]
# Adam's steps hide the size of a gradient, unless eps is large.
PLAIN = ("optimizer.lr=1e-2", "optimizer.eps=1", "trainer.gradient_clip_val=null", "scheduler=constant")
QUIET = ("model.dropout=0", "classifier.dropout=0", "trainer.log_every_n_steps=1", "callbacks=gradient_norms")
RECIPE = (*PLAIN, *QUIET, "trainer.max_epochs=2", "normalizer=layernorm")
NUMBERS = ("train/loss", "grad/h/", "grad/z/", "grad/gain", "grad/parameters/", "grad/clipped/", "grad/depth/")


def batches(examples: int, size: int, accumulated: int = 1) -> list[str]:
    return [
        f"data.max_train_examples={examples}",
        f"data.batch_size={size}",
        f"trainer.accumulate_grad_batches={accumulated}",
    ]


def require_equal(run: SimpleNamespace, other: SimpleNamespace) -> None:
    """Requires the same weights and the same numbers of each step, to float32 precision."""
    ours, theirs = ([row for row in runs.rows(r.folder / "metrics.csv") if row["train/loss"]] for r in (run, other))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for mine, yours in zip(ours, theirs, strict=True):
        for name in (name for name in yours if name.startswith(NUMBERS)):
            assert float(mine[name]) == pytest.approx(float(yours[name]), rel=2e-3, abs=2e-5), (mine["step"], name)
    for name, weight in runs.weights(other).items():
        torch.testing.assert_close(runs.weights(run)[name], weight, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("examples", "whole", "parts"),
    [
        (20, 12, (4, 3)),  # the last step has two of three batches
        (22, 8, (4, 2)),  # its two batches have 4 and 2 examples
        (22, 20, (4, 5)),  # one batch of two examples is left
        (21, 21, (4, 6)),  # one step an epoch
        (24, 8, (4, 2)),  # all steps are equal
    ],
)
def test_accumulated_batches_train_as_one_large_batch(
    train: Train, examples: int, whole: int, parts: tuple[int, int]
) -> None:
    large = train(*RECIPE, *batches(examples, whole))
    require_equal(train(*RECIPE, *batches(examples, *parts)), large)


def test_numbers_to_predict_are_accumulated_the_same_way(train: Train, tiny_numbers: Sequence[str]) -> None:
    large = train(*RECIPE, *tiny_numbers, *batches(22, 8))
    require_equal(train(*RECIPE, *tiny_numbers, *batches(22, 4, 2)), large)


@pytest.fixture
def tiny_numbers(workspace: object, tmp_path: object) -> list[str]:
    """A regression whose labels are numbers."""
    draw = np.random.default_rng(0)
    for name, rows in (("numbers", 60), ("scored", 30)):
        lines = [f"text {draw.integers(99)} of {draw.integers(99)}\t{draw.normal():.3f}" for _ in range(rows)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return ["data.task=regression", f"data.train={tmp_path}/numbers.tsv", f"data.report={tmp_path}/scored.tsv"]


@pytest.mark.slow
@pytest.mark.parametrize("last", [[], ["data.drop_last=true"]], ids=["all", "drop_last"])
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp"])
def test_two_processes_accumulate_as_one(train: Train, trainer: str, last: list[str]) -> None:
    """The last batch has one example, so that one process has none of it."""
    one = train(*RECIPE, *batches(22, 3, 3), *last)
    where = [f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=2", f"paths.output={trainer}"]
    require_equal(train(*RECIPE, *batches(22, 3, 3), *last, *where), one)


def test_without_the_last_rows_accumulated_batches_train_as_one_large_batch(train: Train) -> None:
    """Epochs of 19 rows without the last three: two steps of 8 examples, in batches of 8 or of 4."""
    large = train(*RECIPE, *batches(19, 8), "data.drop_last=true")
    require_equal(train(*RECIPE, *batches(19, 4, 2), "data.drop_last=true"), large)


@pytest.mark.slow
def test_an_interrupted_run_accumulates_as_the_whole(train: Train) -> None:
    """Nine steps of 3, 3 and 2 batches in three epochs; validations fall into the middle of a step."""
    options = (*RECIPE, *batches(22, 3, 3), "trainer.max_epochs=3", "trainer.val_check_interval=2")
    options = (*options, "checkpoint_every=1", "model.dropout=0.1")
    whole = train(*options)
    expected, weights = runs.rows(whole.folder / "metrics.csv"), runs.weights(whole)
    for batch in (1, 4, 6, 7, 8, 12, 15, 23):
        shutil.rmtree(whole.folder)
        with runs.crashing_before(batch):
            train(*options)
        again = train(*options)
        found = runs.rows(again.folder / "metrics.csv")
        timed = ("seconds", "speed", "memory", "per_second")
        for row, wanted in zip(found, expected, strict=True):
            assert {k: v for k, v in row.items() if not any(word in k for word in timed)} == {
                k: v for k, v in wanted.items() if not any(word in k for word in timed)
            }, batch
        assert all(torch.equal(runs.weights(again)[name], weight) for name, weight in weights.items())


def test_more_batches_than_an_epoch_has_are_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"accumulate_grad_batches to be at most 6, the batches .* got 7"):
        train(*RECIPE, *batches(22, 4, 7))
    assert not Path("runs").exists()
