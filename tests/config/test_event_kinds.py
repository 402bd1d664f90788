"""Kinds of events in ``abort_on``, checked without an import of the callbacks."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm import callbacks, records
from clsnorm.config.event_kinds import RECORDS, check_abort_on
from clsnorm.config.source_types import class_attribute
from clsnorm.errors import InputError

NORMS = {"norms": {"_target_": "clsnorm.callbacks.GradientNorms"}}
OBSERVERS = [name for name in callbacks.__all__ if hasattr(getattr(callbacks, name), "kinds")]


@pytest.mark.parametrize("name", OBSERVERS)
def test_the_source_shows_the_kinds_of_each_callback(name: str) -> None:
    assert class_attribute("clsnorm.callbacks", name, "kinds") == getattr(callbacks, name).kinds


def test_some_callbacks_report_events() -> None:
    assert len([name for name in OBSERVERS if getattr(callbacks, name).kinds]) >= 3


@pytest.mark.parametrize("target", RECORDS)
def test_the_source_shows_the_kinds_of_each_record(target: str) -> None:
    name = target.rpartition(".")[2]
    assert class_attribute("clsnorm.records", name, "kinds") == getattr(records, name).kinds


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        ([], {}),
        (["non_finite", "skipped_step"], {}),
        (["explosion", "vanishing"], NORMS),
        (["anything"], {"mine": {"_target_": "mine.Callback"}}),
    ],
)
def test_kinds_that_are_reported_pass(kinds: list[str], chosen: dict[str, Any]) -> None:
    check_abort_on(kinds, chosen)


@pytest.mark.parametrize(
    ("kinds", "chosen", "message"),
    [
        ("explosion", NORMS, r"`abort_on` to be a list.*'explosion'"),
        (None, NORMS, r"`abort_on` to be a list"),
        (["explosions"], NORMS, r"abort_on.*explosion, .*'explosions'.*Did you mean"),
        (["explosion"], {}, r"abort_on.*non_finite, skipped_step.*'explosion'"),
    ],
)
def test_other_kinds_are_refused(kinds: object, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_abort_on(kinds, chosen)
