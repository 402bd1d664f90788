"""Isotropy by the partition function, against its definition in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rows import assert_references, embeddings

from clsnorm.statistics.families.isotropy import partition_isotropy


def test_second_order_form_as_published() -> None:
    rows, _ = embeddings()
    singular, pull = np.linalg.svd(rows, compute_uv=False), np.linalg.norm(rows.sum(0))
    published = max(0.0, len(rows) - pull + singular[-1] ** 2 / 2) / (len(rows) + pull + singular[0] ** 2 / 2)
    assert_references("isotropy", {"second_order": published}, elsewhere={"partition"})


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
