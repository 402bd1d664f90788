"""How folds choose a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from clsnorm.probes.choice import Choice, Fold, choose
from clsnorm.probes.linear_probes import NearestMean
from clsnorm.probes.logistic_regression import UNCONVERGED, Certificate
from clsnorm.probes.probe import FittedProbe, Probe, Start
from clsnorm.probes.train_rows import TrainRows


class Scripted(Probe):
    """Its error on each held-out row is the value's entry in ``table``."""

    name = "scripted"
    option = "value"
    values = (3.0, 2.0, 1.0, 0.0)
    affine_law = "changes"

    def __init__(self, table: dict[float, float], *, ordered: bool = False) -> None:
        self.table, self.stops, self.starts = table, ordered, []  # type: ignore[var-annotated]

    @property
    def ordered(self) -> bool:  # type: ignore[override]
        return self.stops

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        assert not final
        self.starts.append(start.state if start else None)
        certificate = Certificate(UNCONVERGED, 1.0, 0.0, 1.0, 1) if value == 2 else None
        return FittedProbe(lambda x: np.full((len(x), 2), value), certificate, value)

    @override
    def errors(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.full(len(labels), self.table[scores[0, 0]])


def folds(labels: Sequence[int] = (0, 1)) -> list[Fold]:
    x = np.arange(8.0).reshape(4, 2)
    return [Fold(TrainRows(x, np.array([0, 1, 0, 1]), 3), x[:2], np.array(labels)) for _ in range(2)]


def test_the_smallest_error_wins_and_of_equal_ones_the_simplest() -> None:
    found = choose(Scripted({3: 0.4, 2: 0.2, 1: 0.2, 0: 0.3}), folds())
    assert found == Choice(2.0, {3: 0.4, 2: 0.2, 1: 0.2, 0: 0.3}, 2)


def test_an_ordered_search_stops_at_the_first_rise() -> None:
    found = choose(Scripted({3: 0.4, 2: 0.2, 1: 0.3, 0: 0.0}, ordered=True), folds())
    assert found.value == 2
    assert list(found.errors) == [3, 2, 1]


def test_each_fit_starts_at_the_value_before() -> None:
    probe = Scripted({3: 0.4, 2: 0.2, 1: 0.1, 0: 0.3})
    choose(probe, folds())
    assert probe.starts == [None, None, 3, 3, 2, 2, 1, 1]


def test_rows_of_a_class_without_training_rows_do_not_count() -> None:
    found = choose(Scripted({3: 0.4, 2: 0.2, 1: 0.1, 0: 0.3}), folds(labels=(0, 2)))
    assert found.errors[3] == 0.4
    assert found.value == 1


def test_a_probe_without_an_option_is_not_fitted() -> None:
    assert choose(NearestMean(), []) == Choice(0.0, {}, 0)
