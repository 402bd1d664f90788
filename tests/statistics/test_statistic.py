"""The decorator that registers a statistic."""

from __future__ import annotations

import math

import pytest
import torch

from clsnorm.statistics import CATALOGUE, Snapshot, Statistic
from clsnorm.statistics.statistic import REGISTERED, statistic


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Statistic]:
    for name in list(REGISTERED):
        monkeypatch.delitem(REGISTERED, name)
    return REGISTERED


def test_the_docstring_is_the_meaning_and_the_formula_is_unchanged(registry: dict[str, Statistic]) -> None:
    @statistic("norm/doubled", unit="norm", source="here", of=lambda s: s.dim, null_of=lambda s: 0, alias="doubled")
    def doubled(number: int) -> float:
        """Twice a number.

        More about it.
        """
        return 2.0 * number

    found = registry["norm/doubled"]
    assert (found.meaning, found.unit, found.source, found.key) == ("Twice a number.", "norm", "here", "doubled")
    assert found.family == "norm"
    assert doubled(3) == 6.0
    snapshot = Snapshot(4, num_classes=0)
    assert found.compute(snapshot) == 8.0
    assert found.null is not None
    assert found.null(snapshot) == 0.0


def test_a_name_is_registered_once_and_has_a_meaning(registry: dict[str, Statistic]) -> None:
    def bare(s: Snapshot) -> float:
        return 0.0

    with pytest.raises(ValueError, match="'norm/bare' to have a docstring"):
        statistic("norm/bare", unit="norm", source="here")(bare)
    statistic("norm/bare", unit="norm", source="here", meaning="Zero.")(bare)
    with pytest.raises(ValueError, match="'norm/bare' is registered already"):
        statistic("norm/bare", unit="norm", source="here", meaning="Zero.")(bare)


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_have_neither_number_nor_null(rows: int) -> None:
    snapshot = Snapshot(4, num_classes=2)
    snapshot.update(torch.ones(rows, 4), torch.zeros(rows, dtype=torch.int64), torch.arange(rows))
    for one in CATALOGUE:
        assert math.isnan(one.value(snapshot))
        assert one.expected(snapshot) is None
        assert one.spread(snapshot) is None
