"""Rows with labels for tests of statistics, their snapshots, and the comparison of a family with references."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from clsnorm.statistics import Snapshot, describe

N, D, C = 300, 12, 3


def embeddings(n: int = N, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a large mean, unequal spreads, correlations, heavy tails and classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, C, n)
    mixing = draw.standard_normal((d, d)) / math.sqrt(d) + np.diag(np.linspace(0.2, 3, d))
    rows = draw.standard_t(6, (n, d)) @ mixing + 2 * draw.standard_normal(d) + draw.standard_normal((C, d))[labels]
    return rows, labels


def filled(rows: np.ndarray, labels: np.ndarray, *, cuts: tuple[int, ...] = (), **options: Any) -> Snapshot:
    snapshot = Snapshot(rows.shape[1], num_classes=C, **options)
    for part in np.split(np.arange(len(rows)), cuts):
        snapshot.update(torch.from_numpy(rows[part]), torch.from_numpy(labels[part]), torch.from_numpy(part))
    return snapshot


def assert_references(family: str, expected: Mapping[str, float], *, elsewhere: Collection[str] = ()) -> None:
    """Asserts that each number of a family, except those tested ``elsewhere``, equals its reference on `embeddings`."""
    rows, labels = embeddings()
    found = describe(filled(rows, labels, cuts=(7, 100)))
    names = {name for name in found if name.partition("/")[0] == family}
    tested = {f"{family}/{name}" for name in (*expected, *elsewhere)}
    assert names <= tested, (
        f"{', '.join(sorted(names - tested))}: compute a reference by numpy or scipy from `embeddings()` and add it to "
        f"the dict that tests/statistics/families/test_{family}.py gives to `assert_references`"
    )
    assert tested <= names
    for name, value in expected.items():
        assert found[f"{family}/{name}"].value == pytest.approx(value, rel=1e-7, abs=1e-9), name
