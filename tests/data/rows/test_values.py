"""Numbers to predict: float32, unless that would change them."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.data import Table
from clsnorm.data.rows.values import Values
from clsnorm.errors import InputError


def values(labels: list[object], chunk: int = 7) -> np.ndarray:
    coder, found = Values(), [np.empty(0, np.float32)]
    for start in range(0, len(labels), chunk):
        part = labels[start : start + chunk]
        found.append(coder.encode(Table({}, list(range(start + 1, start + 1 + len(part))), "a.csv").of_texts([], part)))
    coder.finish()
    return coder.final(np.concatenate(found))


@pytest.mark.parametrize("labels", [
    [1_700_000_000.0 + i for i in range(40)],  # seconds since 1970 become one number
    [1e9, 1e9 + 1],
    [0.0, *(1e9 + i for i in range(300))],  # one that is far off hides the rest from the standard deviation
    [1e-50, 2e-50, 3e-50],  # below the smallest float32
    ["1700000000", 1700000001],
    [1_700_000_000_000_000_000 + i for i in range(9)],  # nanoseconds: float64 merges them, too
    [2**53, 2**53 + 1],
    [0.5, 2**53, 2**53 + 1],
])  # fmt: skip
def test_numbers_that_float32_merges_are_refused(labels: list[object]) -> None:
    with pytest.raises(InputError, match=r"float32 can tell apart in a.csv, but it turns \d+ .* into \d+\. Subtract"):
        values(labels)


@pytest.mark.parametrize("labels", [
    list(range(1990, 2030)),
    [2**24 + 2 * i for i in range(40)],
    list(np.random.default_rng(0).random(5000)),
    list(1e6 + 1e3 * np.random.default_rng(0).random(5000)),
    list(2e-4 * np.random.default_rng(0).random(5000)),
    list(1.7e9 + 1e7 * np.random.default_rng(0).random(5000)),
    [0.1 + 0.2, 0.3, 1.0, 2.0],  # differ by rounding alone
    [1.7e9, 1.7e9],
    [3.0],
    [1e30, 2e30, -5e37],
    [2**60, 2**61],
    ["0.5", 2],
])  # fmt: skip
def test_numbers_that_float32_can_hold_are_rounded(labels: list[object]) -> None:
    found = values(labels)
    assert found.dtype == np.float32
    assert found.tolist() == np.array(labels, np.float64).astype(np.float32).tolist()


@pytest.mark.parametrize("offset", [0.0, 2e3, 1e5, 1e6, 1e8])
def test_numbers_that_are_not_refused_have_their_correlations(offset: float) -> None:
    drawn = np.random.default_rng(0)
    for spread in 10.0 ** np.arange(-6, 6):
        labels = offset + spread * drawn.standard_normal(300)
        guess = labels + spread * drawn.standard_normal(300)
        try:
            found = values(labels.tolist()).astype(np.float64)
        except InputError:
            assert spread < 1e-3 * offset
            continue
        assert np.corrcoef(found, guess)[0, 1] == pytest.approx(np.corrcoef(labels, guess)[0, 1], abs=1e-4)
        assert len(np.unique(found)) > 150


@pytest.mark.parametrize("odd", ["x", "", None, "nan", "inf", float("nan"), True, "1_000", "1e39", [1.0]])
def test_what_is_no_number_is_refused_with_its_line(odd: object) -> None:
    with pytest.raises(InputError, match=r"finite number to predict in each row in a.csv, but found line 3: "):
        values([1.0, 2.0, odd])
