from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import brier_score_loss

from clsnorm.report.estimates import agreement

random = np.random.default_rng(0)
PROBABILITIES = random.dirichlet(np.ones(3), (4, 50))
ANSWERS = PROBABILITIES.argmax(-1)
LABELS = random.integers(0, 3, 50)


def test_flips_are_the_unlike_predictions_of_pairs() -> None:
    pairs = itertools.combinations(ANSWERS, 2)
    assert agreement.flips(ANSWERS) == pytest.approx(np.mean([(a != b).mean() for a, b in pairs]))


def test_kappa_is_that_of_statsmodels() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    table, _ = inter_rater.aggregate_raters(ANSWERS.T)
    assert agreement.fleiss_kappa(ANSWERS) == pytest.approx(inter_rater.fleiss_kappa(table))
    assert math.isnan(agreement.fleiss_kappa(np.zeros((3, 5), dtype=int)))


def test_the_divergence_is_that_of_scipy() -> None:
    pairs = itertools.combinations(PROBABILITIES, 2)
    expected = np.mean([jensenshannon(a, b, base=2, axis=1) ** 2 for a, b in pairs])
    assert agreement.jensen_shannon(PROBABILITIES) == pytest.approx(expected)


def test_brier_is_that_of_scikit_learn() -> None:
    expected = brier_score_loss(LABELS, PROBABILITIES[0], labels=[0, 1, 2], scale_by_half=False)
    assert agreement.brier(LABELS, PROBABILITIES[0]) == pytest.approx(expected)


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    p, t = torch.from_numpy(PROBABILITIES[0]), torch.from_numpy(LABELS)
    expected = float(multiclass_calibration_error(p, t, num_classes=3, n_bins=15, norm="l1"))
    assert agreement.calibration_error(LABELS, PROBABILITIES[0]) == pytest.approx(expected, abs=1e-6)
