"""The effect of an ablation: from changed embeddings to logits, losses and the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.errors import InputError
from clsnorm.losses import example_losses
from clsnorm.metrics import alone, predictions
from clsnorm.model import Classifier
from clsnorm.model.scores import Scores

MEASURES = {
    "score": "how much worse the monitored score is",
    "loss": "increase of the mean loss",
    "logits": "root mean square change of the logits; those of classes less their mean over classes",
}


@dataclass(frozen=True)
class Answers:
    """What a classifier answers for the rows of a split.

    Attributes:
        logits: ``(n, C)``.
        losses: ``(n,)``.
        values: What metrics take: probabilities ``(n, C)``, or values ``(n,)``.
        score: The monitored score.
    """

    logits: Tensor
    losses: Tensor
    values: Tensor
    score: float


class Readout:
    """Normalizer and head of a fine-tuned classifier, applied to stored embeddings of one split.

    Embeddings pass in the batches of the run's own evaluation, so that unchanged ones give the run's logits to the bit.

    Args:
        classifier: In eval mode; on the device of ``rows``.
        rows: Of the split.
        metric: The monitored metric.
        mode: ``max`` or ``min``: what is good in it; ``sign`` is 1 or -1.
        regression: Whether the head outputs a value.
        batch_size: Rows of a batch.
    """

    def __init__(
        self,
        classifier: Classifier,
        rows: EncodedRows,
        metric: Metric,
        *,
        mode: str,
        regression: bool,
        batch_size: int,
    ) -> None:
        self._classifier, self.rows, self._metric = classifier, rows, alone(metric)
        self.sign = 1.0 if mode == "max" else -1.0
        self.regression, self._batch_size = regression, batch_size
        self.unchanged = self.read(rows.h)
        if not self.unchanged.logits.isfinite().all():
            raise InputError(
                "Expected finite logits of the run's selected weights, but some are not: its training has diverged, "
                "and there is nothing to ablate"
            )

    @torch.no_grad()
    def read(self, h: Tensor) -> Answers:
        """Returns the outcome for embeddings ``(n, d)`` of the rows of the split."""
        classifier = self._classifier
        return self.answers(
            torch.cat([classifier.head(classifier.normalizer(part)) for part in h.split(self._batch_size)])
        )

    def answers(self, logits: Tensor) -> Answers:
        """Returns what logits ``(n, C)`` of the rows of the split mean."""
        losses = example_losses(logits, self.rows.labels, regression=self.regression)
        values = predictions(logits, regression=self.regression)
        scores = Scores({"score": self._metric})
        scores.update(self.rows.ids, values, self.rows.labels, losses)
        return Answers(logits, losses, values, scores.compute()["score"])

    def effect(self, outcome: Answers) -> dict[str, float]:
        """Returns the `MEASURES` of an outcome, against that of the unchanged embeddings; positive is worse."""
        change = (outcome.logits - self.unchanged.logits).double()
        if not self.regression:
            change = change - change.mean(1, keepdim=True)
        return {
            "score": self.sign * (self.unchanged.score - outcome.score),
            "loss": float((outcome.losses - self.unchanged.losses).double().mean()),
            "logits": float(change.square().mean().sqrt()),
        }

    def intervals(self, outcome: Answers, *, draws: int, seed: int) -> dict[str, list[float]]:
        """Returns 95 % intervals of score and loss effects over examples: a paired percentile bootstrap.

        Resamples in which the score is undefined are left out.
        """
        generator, size = torch.Generator().manual_seed(seed), len(self.rows.ids)
        found: dict[str, list[float]] = {"score": [], "loss": []}
        losses = (outcome.losses - self.unchanged.losses).double().cpu()
        for _ in range(draws):
            picked = torch.randint(size, (size,), generator=generator)
            found["loss"].append(float(losses[picked].mean()))
            before, after = (self._score(one, picked) for one in (self.unchanged, outcome))
            found["score"].append(self.sign * (before - after))
        return {name: _middle(values) for name, values in found.items()}

    def _score(self, outcome: Answers, picked: Tensor) -> float:
        self._metric.reset()
        value = float(self._metric(outcome.values[picked].cpu(), self.rows.labels[picked].cpu()))
        self._metric.reset()
        return value

    def head_norms(self) -> Tensor:
        """Returns how strongly the logits depend on each dimension of ``h``, ``(d,)``, on the CPU.

        It is the root of the mean over rows of ``sum_c J_cj^2``, ``J`` the derivative of the logits, those of classes
        less their mean over classes. For an affine normalizer ``z = A h + c`` and a linear head these are the norms of
        the columns of ``W A`` (rows of ``W`` centred over classes).
        """
        classifier, total = self._classifier, torch.zeros(self.rows.h.shape[1], dtype=torch.float64)
        for part in self.rows.h.split(self._batch_size):
            h = part.clone().requires_grad_()
            with torch.enable_grad():
                logits = classifier.head(classifier.normalizer(h))
                logits = logits if self.regression else logits - logits.mean(1, keepdim=True)
                for column in logits.sum(0):
                    (slope,) = torch.autograd.grad(column, h, retain_graph=True)
                    total += slope.double().square().sum(0).cpu()
        return (total / len(self.rows.h)).sqrt()


def _middle(values: list[float]) -> list[float]:
    finite = torch.tensor([value for value in values if value == value], dtype=torch.float64)
    return [float(finite.quantile(q)) if len(finite) else float("nan") for q in (0.025, 0.975)]


def agreement(outcome: Answers, stored: Any, *, regression: bool) -> dict[str, float | bool]:
    """Compares answers with those that the run stored.

    Args:
        outcome: Of the unchanged embeddings.
        stored: ``(n, C)`` or ``(n, 1)``, in the order of the rows.
        regression: Whether these are values.

    Returns:
        ``equal`` (to the bit), ``largest_difference``, and for classes ``other_answers``: the share of rows with
        another class.
    """
    own = outcome.values.cpu().view(len(outcome.logits), -1)
    theirs = torch.as_tensor(stored, dtype=own.dtype)
    found: dict[str, float | bool] = {
        "equal": bool(torch.equal(own, theirs)),
        "largest_difference": float((own - theirs).abs().max()),
    }
    if not regression:
        found["other_answers"] = float((own.argmax(1) != theirs.argmax(1)).double().mean())
    return found
