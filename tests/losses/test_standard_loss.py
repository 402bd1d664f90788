"""Cross-entropy with weights and smoothing against torch's and the formula, and whole runs that train with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from runs import metrics, rows, weights
from torch import nn

import clsnorm
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


SMOOTHED: dict[str, Any] = {"label_smoothing": 0.3}
BALANCED: dict[str, Any] = {"class_weights": "balanced"}


@pytest.mark.parametrize("options", [{}, BALANCED, SMOOTHED, {**BALANCED, **SMOOTHED}])
def test_the_largest_residual_reaches_its_bound(options: dict[str, Any]) -> None:
    loss = StandardLoss(TASK, **options)
    logits = 100 * torch.eye(3).repeat_interleave(3, 0)  # certain of each class, right and wrong
    norms = loss.residuals(logits, torch.arange(9) % 3).norm(dim=1)
    assert float(norms.max()) == pytest.approx(loss.residual_bound)
    torch.manual_seed(0)
    others = loss.residuals(5 * torch.randn(300, 3), torch.arange(300) % 3).norm(dim=1)
    assert float(others.max()) <= loss.residual_bound


def test_a_class_without_training_examples_does_not_loosen_the_bound() -> None:
    loss = StandardLoss(Task(("a", "b", "c"), (5, 5, 0)), class_weights={"a": 1, "b": 1, "c": 1000})
    assert loss.residual_bound == pytest.approx(math.sqrt(2))


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


def test_a_smoothed_loss_is_least_where_p_is_the_smoothed_label() -> None:
    p = torch.tensor([0.8, 0.1, 0.1])  # of smoothing 0.3
    loss = StandardLoss(TASK, label_smoothing=0.3)
    least = loss(p.log()[None], torch.tensor([0]))
    assert float(least) == pytest.approx(float(-(p * p.log()).sum()), rel=1e-6)  # the entropy
    torch.manual_seed(0)
    around = p.log() + 0.5 * torch.randn(200, 3)
    assert (loss(around, torch.zeros(200, dtype=torch.long)) > least).all()


@pytest.mark.parametrize("value", ["[1,2]", "balance", "true", "1.5"])
def test_the_command_refuses_other_weights_in_one_line(command: Callable[..., Any], value: str) -> None:
    done = command(f"loss.class_weights={value}")
    assert done.returncode == 2
    assert "loss.class_weights` to be 'balanced' or a mapping or null" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


FOCAL = """
import torch
from clsnorm.losses import Loss

class Focal(Loss):
    def __init__(self, task, *, gamma: float = 2.0):
        super().__init__(task)
        self.gamma = gamma

    def forward(self, logits, labels):
        losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        return (1 - torch.exp(-losses)) ** self.gamma * losses
"""


def test_a_loss_of_one_s_own_trains(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mylosses.py").write_text(FOCAL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CLSNORM_PACKAGES", "mylosses")
    (tmp_path / "own" / "loss").mkdir(parents=True)
    (tmp_path / "own" / "loss" / "focal.yaml").write_text("_target_: mylosses.Focal\n_partial_: true\ngamma: 2.0\n")
    plain, focal = train(*SHORT), train(*SHORT, f"hydra.searchpath=[file://{tmp_path}/own]", "loss=focal")
    first = [float(rows(run.folder / "metrics.csv")[0]["train/loss"]) for run in (plain, focal)]
    assert first[1] == pytest.approx(first[0] / 4, rel=0.1)  # where p is 1/2
    assert clsnorm.load_run(focal.folder).predict(["a text"]).logits.shape == (1, 2)


def test_a_run_of_before_the_group_is_read(train: Callable[..., Any]) -> None:
    run = train(*SHORT)
    config = run.folder / "config.yaml"
    text = config.read_text()
    block = text[text.index("loss:\n") : text.index("regularizer:\n")]
    assert "label_smoothing" in block
    config.write_text(text.replace(block, ""))
    loaded = clsnorm.load_run(run.folder)
    assert "loss" not in loaded.config
    assert loaded.predict(["a text"]).logits.shape == (1, 2)
