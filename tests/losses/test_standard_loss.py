"""Cross-entropy with weights and smoothing against torch's and the formula, and whole runs that train with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from runs import metrics, rows, weights
from torch import nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import InputError
from clsnorm.losses import StandardLoss, Task, example_losses

TASK = Task(("a", "b", "c"), (6, 3, 1))
SHORT = ("data.max_train_examples=64", "callbacks=none", "trainer.max_epochs=1")


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return 3 * torch.randn(40, 3), torch.arange(40) % 3


def test_the_default_is_the_loss_of_scores_to_the_bit(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert torch.equal(StandardLoss(TASK)(*batch), example_losses(*batch, regression=False))
    numbers = torch.randn(5, 1), torch.randn(5)
    assert torch.equal(StandardLoss(Task())(*numbers), example_losses(*numbers, regression=True))


def test_smoothing_is_torch_s(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    wanted = nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none")(*batch)
    assert torch.equal(StandardLoss(TASK, label_smoothing=0.1)(*batch), wanted)


def test_weights_and_smoothing_follow_the_formula(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    log_p = logits.double().log_softmax(1)
    w = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64) / ((6 * 1 + 3 * 2 + 1 * 4) / 10)
    wanted = w[labels] * (-0.8 * log_p[torch.arange(40), labels] - 0.2 / 3 * log_p.sum(1))
    found = StandardLoss(TASK, class_weights={"a": 1, "b": 2, "c": 4}, label_smoothing=0.2)(*batch)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


def test_balanced_classes_have_equal_shares() -> None:
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(TASK.counts))
    losses = StandardLoss(TASK, class_weights="balanced")(torch.zeros(10, 3), labels)
    shares = [float(losses[labels == c].sum()) for c in range(3)]
    assert shares == pytest.approx([shares[0]] * 3)
    assert float(losses.mean()) == pytest.approx(math.log(3))  # the size of the loss is as without weights


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.3}, {"class_weights": "balanced", "label_smoothing": 0.3}]
)
def test_no_residual_exceeds_its_bound(options: dict[str, Any]) -> None:
    loss = StandardLoss(TASK, **options)
    logits = 100 * torch.eye(3).repeat_interleave(3, 0)  # sure of each class, right and wrong
    norms = loss.residuals(logits, torch.arange(9) % 3).norm(dim=1)
    assert float(norms.max()) <= loss.residual_bound * (1 + 1e-6)
    if not options.get("label_smoothing"):
        assert float(norms.max()) == pytest.approx(loss.residual_bound)


def test_weights_are_in_no_checkpoint() -> None:
    assert not StandardLoss(TASK, class_weights="balanced").state_dict()


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (TASK, {"class_weights": [1, 2, 3]}, "loss.class_weights.*mapping of each class"),
        (TASK, {"class_weights": "balance"}, "loss.class_weights.*balanced"),
        (TASK, {"label_smoothing": 1.0}, "loss.label_smoothing.*below 1"),
        (TASK, {"label_smoothing": -0.1}, "loss.label_smoothing"),
        (Task(), {"label_smoothing": 0.1}, "labels are numbers"),
        (Task(), {"class_weights": "balanced"}, "labels are numbers"),
    ],
)
def test_faulty_options_are_refused(task: Task, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StandardLoss(task, **options)


def test_a_run_trains_with_it_and_is_scored_without_it(train: Callable[..., Any]) -> None:
    plain, smooth = train(*SHORT), train(*SHORT, "loss.label_smoothing=0.5")
    first = [rows(run.folder / "metrics.csv")[0]["train/loss"] for run in (plain, smooth)]
    assert first[0] != first[1]
    assert any(not torch.equal(value, weights(plain)[name]) for name, value in weights(smooth).items())
    answers = pq.read_table(smooth.folder / "predictions.parquet").to_pydict()
    found = [answers[f"p{label}"][row] for row, label in enumerate(answers["label"])]
    wanted = -sum(map(math.log, found)) / len(found)
    assert metrics(smooth)["report/loss"] == pytest.approx(wanted, rel=1e-5)


def test_a_run_s_weights_come_from_its_own_training_rows(train: Callable[..., Any], monkeypatch: Any) -> None:
    seen: list[tuple[list[float], list[int]]] = []
    original = StandardLoss.forward

    def forward(self: StandardLoss, *arguments: Any) -> Any:
        seen.append((self.weights.tolist(), list(self.task.counts)))  # type: ignore[union-attr]
        return original(self, *arguments)

    monkeypatch.setattr(StandardLoss, "forward", forward)
    train("data.max_train_examples=50", *SHORT[1:], "loss.class_weights=balanced")
    found, counts = seen[0]
    assert sum(counts) == 50
    assert found == pytest.approx([50 / (2 * count) for count in counts])


def test_a_step_is_the_same_however_it_is_split_into_batches(train: Callable[..., Any]) -> None:
    steady = ("model.dropout=0.0", "classifier.dropout=0.0", "optimizer=sgd", "optimizer.lr=0.1", *SHORT)
    options = (*steady, "loss.class_weights={0: 1, 1: 3}", "loss.label_smoothing=0.1")
    whole = weights(train(*options, "data.batch_size=16"))
    parts = weights(train(*options, "data.batch_size=4", "trainer.accumulate_grad_batches=4"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_the_default_does_not_change_a_run_s_name(train: Callable[..., Any]) -> None:
    plain = train(*SHORT)
    assert train(*SHORT, "loss=standard", "loss.label_smoothing=0").folder == plain.folder
    assert train(*SHORT, "loss.label_smoothing=0.1").folder != plain.folder


def test_entropy_of_smoothed_labels_is_the_least_loss() -> None:
    """Smoothed labels cannot be met: the loss is least where p is the smoothed label."""
    smoothing, p = 0.3, torch.tensor([0.8, 0.1, 0.1])
    loss = StandardLoss(TASK, label_smoothing=smoothing)
    least = float(loss(p.log()[None], torch.tensor([0])))
    assert least == pytest.approx(float(-(p * p.log()).sum()), rel=1e-6)
    assert float(F.softmax(p.log(), 0).sum()) == pytest.approx(1)
