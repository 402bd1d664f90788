"""Norms of all rows."""

from __future__ import annotations

import numpy as np
import torch
from rows import embeddings

from clsnorm.statistics.accumulators.norms import Norms


def test_norms_equal_those_of_all_rows() -> None:
    rows, _ = embeddings()
    first, second = Norms(), Norms()
    assert first.values.shape == (0,)
    first.update(torch.from_numpy(rows[:7]))
    second.update(torch.from_numpy(rows[7:]))
    first.merge(second)
    second.load_state_dict(first.state_dict())
    np.testing.assert_allclose(second.values, np.linalg.norm(rows, axis=1))
