from __future__ import annotations

import math
from pathlib import Path

from sweep_folders import record_gradients, record_start, write_run

from clsnorm.report.sweeps.recorded import exploded, start_number, start_size
from clsnorm.report.sweeps.run_row import RunRow, read_rows


def row(folder: Path) -> RunRow:
    return read_rows([folder])[0]


def test_numbers_before_training_are_those_of_the_first_step(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert math.isnan(start_number(row(tmp_path), "centred_share"))
    assert start_size(row(tmp_path)) is None
    record_start(run, 0.7, 0.4, rows=50, dim=8)
    assert start_number(row(tmp_path), "top_energy_share") == 0.4
    assert math.isnan(start_number(row(tmp_path), "isoscore"))
    assert start_size(row(tmp_path)) == (50, 8)
    (run / "statistics" / "start_h.npz").write_bytes(b"cut")
    (run / "metrics.csv").write_text("not a heading")
    assert start_size(row(tmp_path)) is None
    assert math.isnan(start_number(row(tmp_path), "centred_share"))


def test_an_explosion_is_an_event_or_a_divergence_and_unknown_without_records(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    assert exploded(row(tmp_path / "a")) is None
    record_gradients(run, kinds=["spike", "resumed"])
    assert exploded(row(tmp_path / "a")) is False
    record_gradients(run, kinds=["spike", "explosion"])
    assert exploded(row(tmp_path / "a")) is True
    (run / "events.csv").write_text("step,rank,kind,place,value\nx,0,spike,grad/h/max,1.0\n1,0,spike,grad/h/max,1.0\n")
    assert exploded(row(tmp_path / "a")) is None
    write_run(tmp_path / "b", status="diverged")
    assert exploded(row(tmp_path / "b")) is True
