"""A bar on a terminal; elsewhere a line now and then, and nothing where nothing is to be shown."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest

from clsnorm import progress
from clsnorm.progress import EVERY, ROWS, ProgressBar, ProgressLog


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Moves on by a step at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger=progress.__name__)
    return caplog


def test_a_line_appears_now_and_then(lines: pytest.LogCaptureFixture) -> None:
    told = ProgressLog("Training", 100, clock=Clock(EVERY / 2))
    for done in range(1, 6):
        told.update(done, lambda: "loss 0.5")
    assert lines.messages == [
        "Training: 2 of 100, about 24 min left, loss 0.5",
        "Training: 4 of 100, about 24 min left, loss 0.5",
    ]


def test_a_short_task_is_silent(lines: pytest.LogCaptureFixture) -> None:
    told = ProgressLog("Training", 3, clock=Clock(EVERY / 4))
    for done in range(1, 4):
        told.update(done)
    assert not lines.messages


def test_what_was_done_before_took_no_time_now(lines: pytest.LogCaptureFixture) -> None:
    told = ProgressLog("Training", 100, done=90, clock=Clock(EVERY))
    told.update(90)
    told.update(95)
    assert lines.messages == ["Training: 90 of 100", "Training: 95 of 100, about 1 min left"]


def test_an_unknown_size_has_no_end(lines: pytest.LogCaptureFixture) -> None:
    ProgressLog("Reading", None, clock=Clock(EVERY)).update(7)
    assert lines.messages == ["Reading: 7 after 30 s"]


@pytest.mark.parametrize(("live", "shown"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_bar_appears_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, live: bool, shown: bool
) -> None:
    stream = Terminal() if live else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    bar = ProgressBar(range(3), what="Encoding", shown=shown)
    assert [*bar] == [0, 1, 2]
    printed = re.sub(r"\s+", " ", stream.getvalue())
    assert ("Encoding: 0%" in printed) is (live and shown)
    assert bool(lines.messages) is (shown and not live)
    assert not printed or live


def test_rows_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with ProgressBar(what="Reading", total=50, initial=10, **ROWS) as bar:
        bar.update(20)
    assert [message.partition(",")[0] for message in lines.messages] == ["Reading: 30 of 50"]
