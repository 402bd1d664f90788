"""`TrainEvalGap`: its formula, and that it leaves training alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from runs import metrics, rows, weights

from clsnorm.callbacks.train_eval_gap import GAP, TrainEvalGap
from clsnorm.normalizers import BatchNorm, BatchRenorm, DecorrelatedBatchNorm, IsoBN, Normalizer, PowerNorm

Train = Callable[..., SimpleNamespace]
LOGGED = ("callbacks=train_eval_gap", "trainer.log_every_n_steps=1", "trainer.max_epochs=1")


def gap(normalizer: Normalizer, h: torch.Tensor) -> float:
    observer = TrainEvalGap()
    observer._due = True
    handle = normalizer.register_forward_hook(observer._compare)
    normalizer.train()(h)
    handle.remove()
    assert observer._sums is not None
    difference, expected = observer._sums.tolist()
    return math.sqrt(difference / expected)


@pytest.mark.parametrize("kind", [BatchNorm, DecorrelatedBatchNorm, IsoBN, PowerNorm])
def test_the_gap_is_the_relative_difference_and_changes_nothing(kind: type[Normalizer]) -> None:
    generator = torch.Generator().manual_seed(0)
    normalizer = kind(12)
    for _ in range(30):
        normalizer.train()(torch.randn(16, 12, generator=generator) * 3 + 1)
    twin, h = copy.deepcopy(normalizer), torch.randn(16, 12, generator=generator) * 3 + 1
    found = gap(normalizer, h)
    z = twin.train()(h).double()
    assert all(torch.equal(a, b) for a, b in zip(normalizer.buffers(), twin.buffers(), strict=True))
    slope, other = (getattr(n, "_last_slope", None) for n in (normalizer, twin))
    assert slope is other is None or torch.equal(slope, other)  # that of the training batch
    assert normalizer.training
    expected = twin.eval()(h).double()
    assert found == pytest.approx(((z - expected).norm() / expected.norm()).item(), rel=1e-6, abs=1e-12)


def test_renormalization_has_no_gap_after_its_warm_up() -> None:
    generator = torch.Generator().manual_seed(0)
    gaps = {}
    for kind in (BatchNorm, BatchRenorm):
        normalizer = kind(12)
        for _ in range(100):
            normalizer.train()(torch.randn(16, 12, generator=generator))
        gaps[kind] = gap(normalizer, torch.randn(16, 12, generator=generator))
    assert gaps[BatchRenorm] < 0.1 < gaps[BatchNorm]


@pytest.mark.parametrize("normalizer", ["batchnorm", "switchable_whiten", "powernorm"])
def test_it_is_logged_for_normalizers_with_batch_statistics_and_training_stays_the_same(
    train: Train, normalizer: str
) -> None:
    options = (f"normalizer={normalizer}", "trainer.accumulate_grad_batches=2", *LOGGED)
    watched = train(*options)
    first = weights(watched)
    found = [row[GAP] for row in rows(watched.folder / "metrics.csv") if row.get("train/loss")]
    assert len(found) > 2
    assert all(float(value) > 0 for value in found)
    assert metrics(watched)[GAP] == float(found[-1])
    second = weights(train(*options, "callbacks=none", "force=true"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_nothing_is_logged_without_batch_statistics(train: Train) -> None:
    assert GAP not in metrics(train("normalizer=layernorm", *LOGGED))


@pytest.mark.slow
def test_two_processes_log_the_gap_of_one(train: Train) -> None:
    options = ("normalizer=batchnorm", "model.dropout=0.0", "classifier.dropout=0.0", *LOGGED)
    one = metrics(train(*options))
    two = metrics(train(*options, "trainer=ddp_cpu", "paths.output=two"))
    assert two[GAP] == pytest.approx(one[GAP], rel=1e-3)
