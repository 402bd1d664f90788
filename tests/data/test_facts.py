"""The facts that a configuration states about a data set."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm.data.facts import Batching, Facts, Scoring
from clsnorm.errors import InputError

FACTS: dict[str, Any] = {
    "task": "classification", "labels": ["a", "b"], "untrained": [], "allow_absent": False, "rows": {"train": 3},
    "max_empty": 0.1, "drop_leaked": False,
}  # fmt: skip
BATCHING: dict[str, Any] = {
    "batch_size": 8, "eval_batch_size": 8, "packed": True, "num_workers": 0, "seed_order": 0, "rank": 0, "world_size": 1
}  # fmt: skip


def test_regression_has_no_classes() -> None:
    assert not Facts(**FACTS).regression
    assert Facts(**{**FACTS, "task": "regression", "labels": None}).regression


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "ranking"}, "data.task"),
        ({"task": "regression"}, "`data.labels` to name two or more different classes, or null for regression"),
        ({"labels": ["a", "a"]}, "`data.labels`"),
        ({"untrained": ["c"]}, "data.untrained.*'c'"),
        ({"labels": None, "untrained": ["a"]}, "`data.untrained` to be empty where data.labels is null"),
        ({"max_empty": 1.5}, "data.max_empty.*1.5"),
        ({"drop_leaked": "no"}, "data.drop_leaked.*'no'"),
    ],
)
def test_contradictory_facts_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Facts(**{**FACTS, **wrong})


@pytest.mark.parametrize(
    ("rows", "message"), [({"test": 3}, "data.rows.*'test'"), ({"train": 2.5}, "data.rows.train.*2.5")]
)
def test_wrong_row_counts_are_refused(rows: dict[str, Any], message: str) -> None:
    Facts(**FACTS).require_counts(["train", "report"])
    with pytest.raises(InputError, match=message):
        Facts(**{**FACTS, "rows": rows}).require_counts(["train", "report"])


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 0), ("eval_batch_size", 1.5), ("packed", "yes"), ("num_workers", -1)]
)
def test_impossible_batches_are_refused(name: str, value: object) -> None:
    Batching(**BATCHING)
    with pytest.raises(InputError, match=rf"data\.{name}.*{value}"):
        Batching(**{**BATCHING, name: value})


@pytest.mark.parametrize(
    ("wrong", "message"), [({"monitor": "f1"}, "data.monitor.*accuracy.*'f1'"), ({"mode": "best"}, "data.mode.*'best'")]
)
def test_a_monitor_that_is_no_metric_is_refused(wrong: dict[str, str], message: str) -> None:
    right: dict[str, Any] = {"metrics": {"accuracy": None}, "monitor": "accuracy", "mode": "max"}
    assert Scoring(**right).monitor == "accuracy"
    with pytest.raises(InputError, match=message):
        Scoring(**{**right, **wrong})
