"""Isotropy by the partition function, against its definition in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rows import assert_references, embeddings, filled

from clsnorm.statistics import describe
from clsnorm.statistics.families.isotropy import partition_isotropy


def test_second_order_form_as_published() -> None:
    rows, _ = embeddings()
    singular, pull = np.linalg.svd(rows, compute_uv=False), np.linalg.norm(rows.sum(0))
    published = max(0.0, len(rows) - pull + singular[-1] ** 2 / 2) / (len(rows) + pull + singular[0] ** 2 / 2)
    rows = rows / np.linalg.norm(rows, axis=1).mean()
    singular, pull = np.linalg.svd(rows, compute_uv=False), np.linalg.norm(rows.sum(0))
    at_norm_1 = max(0.0, len(rows) - pull + singular[-1] ** 2 / 2) / (len(rows) + pull + singular[0] ** 2 / 2)
    expected = {"second_order": published, "second_order_norm_1": at_norm_1}
    assert_references("isotropy", expected, elsewhere={"partition", "partition_norm_1"})


def test_at_a_stated_norm_the_length_of_the_rows_does_not_matter() -> None:
    rows, labels = embeddings()
    short, long = (describe(filled(scale * rows, labels)) for scale in (0.01, 3.0))
    for name in ("isotropy/partition", "isotropy/second_order"):
        assert short[name].value > 0.5 > 1e-3 > long[name].value
        assert short[f"{name}_norm_1"].value == pytest.approx(long[f"{name}_norm_1"].value, rel=1e-9)
    unit = torch.from_numpy(rows / np.linalg.norm(rows, axis=1).mean())
    assert short["isotropy/partition_norm_1"].value == pytest.approx(partition_isotropy(unit), rel=1e-9)


def test_partition_isotropy_takes_columns_not_rows() -> None:
    """Public versions iterate the rows of numpy's matrix of eigenvectors."""
    rows, _ = embeddings(60, 5)
    rows = rows / 4
    _, vectors = np.linalg.eigh(rows.T @ rows)
    right = [np.exp(rows @ (sign * vectors[:, i])).sum() for i in range(5) for sign in (1, -1)]
    wrong = [np.exp(rows @ (sign * vectors[i])).sum() for i in range(5) for sign in (1, -1)]
    found = partition_isotropy(torch.from_numpy(rows))
    assert found == pytest.approx(min(right) / max(right), rel=1e-9)
    assert found != pytest.approx(min(wrong) / max(wrong), rel=1e-2)
    assert math.isfinite(partition_isotropy(torch.from_numpy(rows * 1e4)))  # exp(88) is the end of float32
