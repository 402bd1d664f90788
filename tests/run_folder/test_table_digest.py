"""The running sha256 of a table equals that of the file, whatever was written, and finds any changed cell."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from clsnorm.loggers.metrics_csv import MetricsCsv
from clsnorm.run_folder.events import Events
from clsnorm.run_folder.table_digest import TableDigest, as_mark


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def logged(path: Path, steps: int, columns: int = 3) -> MetricsCsv:
    log = MetricsCsv(path)
    log.keep_until(0)
    for step in range(steps):
        log.log_metrics({f"name {step % columns}": step / 7}, step=step)
        log.save()
    return log


def test_the_digest_is_that_of_the_file_after_any_writes(tmp_path: Path) -> None:
    path, draw = tmp_path / "metrics.csv", random.Random(0)
    log = logged(path, 0)
    step = 0
    for _ in range(200):  # rows, new columns, and rows that are taken back since more of their step comes
        step += draw.choice([0, 1])
        log.log_metrics({f"a,{draw.randrange(9)}": draw.random()}, step=step)
        if draw.random() < 0.5:
            log.save()
            assert log.digest.mark()["sha256"] == sha256(path)


def test_a_digest_holds_after_later_columns_and_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    log = logged(path, 5)
    mark, before = log.digest.mark(), sha256(path)
    log.log_metrics({"new": 1.0}, step=5)
    log.save()
    resumed = MetricsCsv(path)
    resumed.keep_until(5, mark)
    assert (resumed.digest.intact, caplog.messages) == (True, [])
    assert resumed.digest.sha256() == sha256(path) != before


@pytest.mark.parametrize("place", range(12, 75))
def test_any_changed_character_is_found_on_resume(tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    mark = logged(path, 4).digest.mark()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    resumed = MetricsCsv(path)
    resumed.keep_until(4, mark)
    assert not resumed.digest.intact
    assert resumed.digest.mark()["sha256"] is None
    assert any("metrics.csv" in message for message in caplog.messages)


@pytest.mark.parametrize("change", [lambda text: text.replace("2.5", "2.6"), lambda text: text[: text.rfind("3,")]])
def test_changed_and_lost_events_are_found(tmp_path: Path, change: Callable[[str], str]) -> None:
    events = Events(tmp_path / "events.csv")
    events.keep_first(0)
    events.add(step=3, kind="explosion", place="grad/h/max", value=2.5)
    events.add(step=3, kind="explosion", place="grad/z/max", value=1.5)
    mark = events.digest.mark()
    assert mark["sha256"] == sha256(events.path)
    events.add(step=9, kind="vanishing")
    again = Events(events.path)
    again.keep_first(2, mark)
    assert again.digest.mark() == mark
    events.path.write_text(change(events.path.read_text()))
    again = Events(events.path)
    again.keep_first(2, mark)
    assert again.digest.mark()["sha256"] is None


def test_a_change_before_the_file_is_rewritten_for_a_new_column_is_not_hidden(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = logged(path, 4)
    path.write_text(path.read_text().replace("0.14", "0.15"))
    log.log_metrics({"new": 1.0}, step=4)
    log.save()
    assert log.digest.mark()["sha256"] is None


def test_only_a_mark_is_read_as_one() -> None:
    mark = TableDigest().mark()
    assert as_mark(mark) == mark
    for other in (None, [], {}, {"columns": 1}, {"columns": "1", "sha256": "a"}, {"columns": 1, "sha256": 3}):
        assert as_mark(other) is None


def test_a_lost_file_is_not_intact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    log = MetricsCsv(tmp_path / "metrics.csv")
    log.keep_until(3)
    assert log.digest.mark()["sha256"] is None
