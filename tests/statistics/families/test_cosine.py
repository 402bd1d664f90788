"""Cosines of pairs against scikit-learn, on all pairs."""

from __future__ import annotations

import numpy as np
from rows import N, assert_references, embeddings
from sklearn.metrics.pairwise import cosine_similarity


def test_each_number_equals_that_of_all_pairs() -> None:
    rows, _ = embeddings()
    average = cosine_similarity(rows)[~np.eye(N, dtype=bool)].mean()
    units = rows / np.linalg.norm(rows, axis=1)[:, None]
    parts = np.sort([(np.outer(u, u)[~np.eye(N, dtype=bool)]).mean() for u in units.T])[::-1]
    assert_references("cosine", {"average": average} | {f"rogue_{k}": parts[:k].sum() / average for k in (1, 2, 3)})
