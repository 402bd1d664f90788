"""Heads that are fitted after an ablation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.ablation.effects import Readout
from clsnorm.ablation.encoded_rows import EncodedRows
from clsnorm.ablation.refitted_head import PENALTY, RefittedHead
from clsnorm.errors import InputError
from clsnorm.normalizers import Identity

DIM = 12


def rows(count: int, seed: int, *, scale: float = 1.0) -> EncodedRows:
    """Dimension 3 alone tells the classes apart; dimension 4 repeats it with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    h = torch.randn(count, DIM, generator=generator)
    h[:, 3] += 3.0 * labels
    h[:, 4] = h[:, 3] + 0.1 * torch.randn(count, generator=generator)
    h[:, 3] *= scale
    return EncodedRows(h, labels, torch.arange(count), {})


def zeroed(h: Tensor, dims: np.ndarray) -> Tensor:
    changed = h.clone()
    changed[:, torch.from_numpy(dims)] = 0
    return changed


def head(train: EncodedRows, other: EncodedRows) -> RefittedHead:
    classifier = SimpleNamespace(normalizer=Identity(DIM).eval(), head=nn.Linear(DIM, 2))
    metric = MulticlassAccuracy(num_classes=2, average="micro")
    readout = Readout(classifier, other, metric, mode="max", regression=False, batch_size=64)  # type: ignore[arg-type]
    return RefittedHead(train, readout, 2, on_train=zeroed, on_other=zeroed)


def test_a_copy_of_a_dimension_replaces_it_if_the_head_is_fitted_again() -> None:
    found = head(rows(300, 0), rows(300, 1))
    alone = found.compare(np.array([3]), [np.array([i]) for i in (0, 1, 2, 5, 6)])
    assert alone["unchanged"]["score"] > 0.85
    assert abs(alone["effect"]["score"]) < 0.03
    both = found.compare(np.array([3, 4]), [np.array([0, 1]), np.array([5, 6])])
    assert both["effect"]["score"] > 0.3
    assert both["null"]["score"]["percentile"] == pytest.approx(5 / 6)
    assert (both["unconverged"], both["sets"]) == (0, 2)
    assert both["largest_gap"] < 1e-6


def test_the_scale_of_a_dimension_has_no_effect() -> None:
    plain, scaled = (head(rows(200, 0, scale=s), rows(200, 1, scale=s)) for s in (1.0, 1000.0))
    dims = np.array([5])
    assert plain.measure(dims)["loss"] == pytest.approx(scaled.measure(dims)["loss"], rel=1e-4)


def test_the_fit_is_that_of_scikit_learn_on_whitened_rows() -> None:
    train, other = rows(200, 0), rows(200, 1)
    found = head(train, other).measure(np.array([], dtype=np.int64))
    x, y = train.h.double().numpy(), train.labels.numpy()
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    whiten = vectors / np.sqrt(values)
    # Of two classes with logits w and -w scikit-learn fits the difference 2 w, so ||W||^2 = ||2 w||^2 / 2.
    reference = LogisticRegression(C=2 / (PENALTY * len(x)), tol=1e-10, max_iter=1000)
    reference.fit((x - x.mean(0)) @ whiten, y)
    p = reference.predict_proba((other.h.double().numpy() - x.mean(0)) @ whiten)
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(200), other.labels]).mean(), rel=1e-4)


def test_behind_a_layer_norm_any_one_dimension_can_be_computed_from_the_others() -> None:
    norm = nn.LayerNorm(DIM)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    train, other = (rows(200, seed) for seed in (0, 1))
    found = head(*(EncodedRows(norm(one.h).detach(), one.labels, one.ids, {}) for one in (train, other)))
    alone = found.compare(np.array([3]), [np.array([0])])
    assert abs(alone["effect"]["loss"]) < 1e-4
    assert abs(found.compare(np.array([3, 4, 5]), [])["effect"]["loss"]) > 0.01


def test_a_class_without_rows_is_refused() -> None:
    train = rows(40, 0)
    with pytest.raises(InputError, match="1 of 2 have none among the 40"):
        head(EncodedRows(train.h, torch.zeros(40, dtype=torch.long), train.ids, {}), train)
