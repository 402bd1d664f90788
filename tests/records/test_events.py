from __future__ import annotations

from pathlib import Path

from clsnorm.records import Events


def test_rows_are_kept_and_cut(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.csv")
    events.keep_until(0)
    assert events.read() == []
    assert events.path.read_text() == "step,kind,place,value\n"
    events.add(step=3, kind="explosion", place="grad/h/max", value=2.5)
    events.add(step=9, kind="non_finite_loss", place="train/loss")
    again = Events(events.path)
    again.keep_until(9)
    assert again.read() == [{"step": "3", "kind": "explosion", "place": "grad/h/max", "value": "2.5"}]
