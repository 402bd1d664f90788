"""When a model counts as failed: the rule, its margin against known formulas, and its error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, PearsonCorrCoef
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from clsnorm.failure import ONE_ANSWER, QUANTILE, RULE, Outcome, jackknife_error, judge
from clsnorm.metrics import Matthews

ACCURACY = MulticlassAccuracy(2, average="micro")


def verdict(correct: int, *, rows: int = 277, majority: int = 146, metric: Metric = ACCURACY) -> Outcome:
    """A model with ``correct`` right answers, the wrong ones spread over both classes."""
    labels = (torch.arange(rows) >= majority).long()
    answers = labels.clone()
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    answers[order[correct:]] = 1 - answers[order[correct:]]
    values = torch.eye(2)[answers]
    return judge(metric, values, labels, constant=0, num_outputs=2, regression=False, mode="max")


def test_the_margin_of_an_accuracy_is_that_of_wilsons_interval() -> None:
    found = verdict(150)
    base = 146 / 277
    assert found.majority == pytest.approx(base)
    assert found.score == pytest.approx(150 / 277)
    assert found.margin == pytest.approx(1.6448536 * math.sqrt(base * (1 - base) / 277))
    # The majority is a bound of Wilson's interval around a score that is just a margin away from it.
    score, n, z = base - found.margin, 277, QUANTILE
    centre = (score + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(score * (1 - score) / n + z**2 / (4 * n**2))
    assert centre + half == pytest.approx(base)


@pytest.mark.parametrize(
    ("correct", "failed", "above"), [(131, True, False), (133, False, False), (159, False, False), (161, False, True)]
)
def test_between_failure_and_success_is_a_score_within_the_margin(correct: int, failed: bool, above: bool) -> None:
    found = verdict(correct)
    assert (found.failed, found.above_majority) == (failed, above)


def test_a_model_of_a_true_accuracy_of_56_percent_is_hardly_ever_called_failed() -> None:
    flagged = [verdict(correct).failed for correct in range(278)]
    old = [correct <= 146 for correct in range(278)]
    chances = {accuracy: binom.pmf(range(278), 277, accuracy) for accuracy in (0.527, 0.56)}
    rates = {
        accuracy: [float(p[flags].sum()) for flags in (np.array(old), np.array(flagged))]
        for accuracy, p in chances.items()
    }
    assert rates[0.56][0] == pytest.approx(0.15, abs=0.03)
    assert rates[0.56][1] < 0.005
    assert rates[0.527][1] < 0.06


@pytest.mark.parametrize(("others", "failed"), [(2, True), (3, False)])
def test_one_answer_to_99_percent_of_the_rows_is_a_failure(others: int, failed: bool) -> None:
    labels = torch.arange(200) % 2
    answers = torch.zeros(200, dtype=torch.long)
    answers[torch.arange(others) * 2 + 1] = 1  # right: better than the constant prediction
    found = judge(ACCURACY, torch.eye(2)[answers], labels, constant=0, num_outputs=2, regression=False, mode="max")
    assert found.answer_share == pytest.approx(1 - others / 200)
    assert found.score > found.majority
    assert (found.failed, found.above_majority) == (failed, False)


def test_a_model_without_finite_predictions_has_failed() -> None:
    values = torch.tensor([[0.5, 0.5], [math.nan, math.nan]])
    found = judge(ACCURACY, values, torch.tensor([0, 1]), constant=0, num_outputs=2, regression=False, mode="max")
    assert found.failed
    assert found.record() == {
        "score": None, "majority": 0.5, "margin": None, "answer_share": None, "mode": "max", "above_majority": False,
    }  # fmt: skip


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    labels = torch.randint(0, 2, (40,), generator=torch.Generator().manual_seed(1))
    answers = torch.where(torch.arange(40) < 30, labels, 1 - labels)
    correct = (answers == labels).double()
    assert jackknife_error(ACCURACY, torch.eye(2)[answers], labels) == pytest.approx(
        float(correct.std() / math.sqrt(40)), rel=1e-5
    )
    assert math.isnan(jackknife_error(ACCURACY, torch.eye(2)[:1], labels[:1]))


def noise(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=generator) < 0.3).long()
    answers = (torch.rand(rows, generator=generator) < 0.4).long()
    return labels, torch.eye(2)[answers], torch.randn(2, rows, generator=generator)


def test_the_margin_of_other_metrics_is_the_spread_over_samples() -> None:
    found: dict[str, list[Outcome]] = {"mcc": [], "r": []}
    for seed in range(60):
        labels, values, (x, y) = noise(200, seed)
        options = {"constant": 0, "num_outputs": 2, "mode": "max"}
        found["mcc"].append(judge(Matthews(2), values, labels, regression=False, **options))
        found["r"].append(judge(PearsonCorrCoef(), x, y, regression=True, **options))
    for name, verdicts in found.items():
        errors = torch.tensor([v.margin / QUANTILE for v in verdicts])
        assert float(errors.median()) == pytest.approx(1 / math.sqrt(199), rel=0.1), name  # exact for independent rows
        assert sum(v.failed for v in verdicts) <= 8, name  # of 60, at a level of 5 %
        assert all(v.majority == 0 for v in verdicts)


def test_f1_is_compared_with_that_of_the_constant_prediction() -> None:
    labels = (torch.arange(100) % 3 > 0).long()
    metric = MulticlassF1Score(2, average="macro")
    options = {"constant": 1, "num_outputs": 2, "regression": False, "mode": "max"}
    good = judge(metric, torch.eye(2)[labels], labels, **options)
    wrong = judge(metric, torch.eye(2)[1 - labels], labels, **options)
    assert good.majority == wrong.majority == pytest.approx(0.3976, abs=1e-3)
    assert (good.failed, good.above_majority) == (False, True)
    assert wrong.failed


def test_regression_on_a_constant_value_has_failed_and_small_errors_are_good() -> None:
    labels = torch.linspace(0, 5, 100)
    options = {"constant": 2.5, "num_outputs": 1, "regression": True, "mode": "min"}
    near = 2.5 + 0.002 * torch.linspace(-1, 1, 100)  # correlates perfectly, and is the same answer to all
    assert judge(MeanSquaredError(), near, labels, **options).answer_share == 1
    assert judge(MeanSquaredError(), near, labels, **options).failed
    good = judge(MeanSquaredError(), labels + 0.1, labels, **options)
    assert good.above_majority
    assert judge(MeanSquaredError(), 5 - labels, labels, **options).failed


def test_the_rule_is_stated_in_words() -> None:
    assert RULE == ("one answer for 99% of the rows, or a score worse than majority by 1.645 standard errors")
    assert ONE_ANSWER == 0.99
