from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from clsnorm.run_folder.events import Events, read_events


def test_a_resumed_file_is_cut_after_its_first_events(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.csv")
    events.keep_first(0)
    assert read_events(events.path) == []
    assert events.path.read_text() == "step,rank,kind,place,value\n"
    events.add(step=3, kind="explosion", place="grad/h/max", value=2.5)
    events.add(step=9, kind="non_finite", place="train/loss", rank=1)
    again = Events(events.path)
    again.keep_first(1)
    row = {"step": "3", "rank": "", "kind": "explosion", "place": "grad/h/max", "value": "2.5"}
    assert read_events(again.path) == [row]


def test_loggers_get_the_number_of_events_so_far(tmp_path: Path) -> None:
    logged: list[tuple[dict[str, float], int]] = []
    events = Events(tmp_path / "events.csv")
    events.keep_first(0)
    events.add(step=1, kind="explosion")
    again = Events(events.path)
    again.keep_first(1)
    again.loggers = [SimpleNamespace(log_metrics=lambda numbers, step: logged.append((numbers, step)))]
    again.add(step=6, kind="explosion")
    again.add(step=7, kind="vanishing")
    assert logged == [({"events/explosion": 2.0}, 6), ({"events/vanishing": 1.0}, 7)]
