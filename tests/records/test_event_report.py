"""`EventReport`: one way to report an event."""

from __future__ import annotations

from pathlib import Path

from clsnorm.records import Abort, EventReport
from clsnorm.run_folder.events import Events, read_events


def test_events_are_stored_and_decisive_ones_reach_abort(tmp_path: Path) -> None:
    noticed: list[str] = []
    events, abort = Events(tmp_path / "events.csv"), Abort([], [])
    events.keep_first(0)
    abort.notice = noticed.append  # type: ignore[method-assign]
    report = EventReport(events, abort)
    report(step=1, kind="vanishing", place="grad/h/max", value=0.5, decisive=False)
    report(step=2, kind="explosion", rank=1)
    assert [(row["step"], row["kind"], row["value"]) for row in read_events(events.path)] == [
        ("1", "vanishing", "0.5"),
        ("2", "explosion", ""),
    ]
    assert noticed == ["explosion"]
