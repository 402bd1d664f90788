"""Expected times come from finished runs, the most similar ones first."""

from __future__ import annotations

import pytest

from clsnorm.sweep.expectation import TABLES, Expectation, settings_of, work

CONFIG = {
    "data": {
        "name": "a",
        "rows": {"train": 1000},
        "batch_size": 10,
        "max_length": 128,
        "about": {"typical_length": 20},
    },
    "trainer": {"max_epochs": 2, "max_steps": -1},
    "model": {"path": "m"},
    "normalizer": {"_target_": "n"},
}
BASE = settings_of(CONFIG)


def test_work_is_rows_times_epochs_or_steps() -> None:
    assert BASE["length"] == pytest.approx(28)
    assert work(BASE | {"epochs": 4}) == pytest.approx(2 * work(BASE))
    assert work(BASE | {"max_steps": 50}) == pytest.approx(work(BASE) / 4)
    assert work(BASE | {"epochs": -1, "max_steps": 200}) == pytest.approx(work(BASE))
    assert work(BASE | {"rows": 100, "epochs": 1}) == pytest.approx(work(BASE) / 20)


@pytest.mark.parametrize("settings", [{}, {"batch": 0}, BASE | {"rows": None}, BASE | {"epochs": -1}])
def test_work_may_be_unknown(settings: dict) -> None:
    assert work(settings) == 0
    assert Expectation([(BASE, 10.0, 5)]).seconds(settings) is None


def test_a_subset_counts_its_own_rows() -> None:
    limited = {**CONFIG, "data": {**CONFIG["data"], "max_train_examples": 100}}
    assert settings_of(limited)["rows"] == 100
    assert settings_of({}) == {}


def test_the_most_similar_finished_runs_count() -> None:
    other = BASE | {"normalizer": "slow"}
    expected = Expectation([(BASE, 10.0, 5), (other, 40.0, 5), (BASE | {"data": "b"}, 90.0, 5)])
    assert expected.seconds(BASE) == pytest.approx(10)
    assert expected.seconds(other | {"epochs": 4}) == pytest.approx(80)
    assert expected.seconds(BASE | {"normalizer": "new"}) == pytest.approx(25)
    assert expected.seconds(BASE | {"data": "c"}) == pytest.approx(40)
    assert expected.seconds(BASE | {"model": "other"}) is None


def test_sizes_are_of_runs_that_keep_the_same_weights() -> None:
    every = BASE | {"keep_weights": "all", "check_every": 1.0}
    expected = Expectation([(BASE, 10.0, 500), (BASE, 10.0, 700), (every, 10.0, 9000)])
    assert expected.size(BASE) == 600
    assert expected.size(every) == 9000
    assert expected.size(every | {"check_every": 0.25}) is None, "more validations, more files"
    assert expected.size(BASE | {"keep_weights": "none"}) == TABLES
    assert expected.size(BASE | {"model": "other"}) is None


def test_the_order_needs_no_finished_run() -> None:
    short, long = BASE, BASE | {"epochs": 20}
    assert Expectation([]).order(long) > Expectation([]).order(short)
