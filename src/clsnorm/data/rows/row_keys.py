"""Looking up keys, such as the hashes of texts, with less memory than `numpy.unique` and `numpy.isin` need."""

import numpy as np


def among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns which of ``keys`` occur in ``known``, which must be sorted, bool."""
    if not len(known):
        return np.zeros(len(keys), bool)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def is_first(ordered: np.ndarray) -> np.ndarray:
    """Returns which of some sorted keys differ from the one before, bool."""
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return first
