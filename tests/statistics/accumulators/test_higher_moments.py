"""Third and fourth central moments against scipy, merged from parts with different shifts."""

from __future__ import annotations

import numpy as np
import torch
from rows import D, embeddings
from scipy import stats

from clsnorm.statistics.accumulators.higher_moments import HigherMoments


def test_central_moments_equal_those_of_scipy_for_any_split() -> None:
    rows, _ = embeddings()
    merged = HigherMoments(D)
    for part in np.split(rows, (0, 7, 100)):
        piece = HigherMoments(D)
        piece.update(torch.from_numpy(part))
        merged.merge(piece)
    loaded = HigherMoments(D)
    loaded.load_state_dict(merged.state_dict())
    for order, found in zip((2, 3, 4), loaded.central(), strict=True):
        np.testing.assert_allclose(found, stats.moment(rows, order), rtol=1e-9)
