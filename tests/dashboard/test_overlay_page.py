"""Several runs on one page: a line for each, names that say what differs, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_folders import write_run

from clsnorm.dashboard.__main__ import main
from clsnorm.dashboard.overlay_page import MOST, labels_of, write_overlay
from clsnorm.errors import InputError
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.run_row import read_rows

pytest.importorskip("matplotlib")
HEADING = "step,train/loss,select/loss,cls/start/h/centred_share,cls/select/h/centred_share"


def run(folder: Path, *, numbers: str = "0,1.0,,0.9,\n4,0.5,0.6,,0.7\n", **changes: object) -> Path:
    path = write_run(folder, **changes)  # type: ignore[arg-type]
    (path / "metrics.csv").write_text(f"{HEADING}\n{numbers}")
    return path


def test_each_number_has_one_figure_with_a_line_for_each_run(tmp_path: Path) -> None:
    paths = [run(tmp_path, normalizer=name) for name in ("identity", "center", "a$b$<script>")]
    text = write_overlay(paths, tmp_path).read_text()
    assert text.count("<svg") == 3  # both losses and the share of the mean, whose start is part of its line
    assert "cls/select/h/centred_share" in text
    assert text.count("<script") == 1, "its own"
    assert text.count("a$b$&lt;script&gt;") == 1 + 2 * 3  # in the table, and in each legend and its figure's points
    assert 'href="trec-center-s0-0.0001/"' in text


def test_names_say_what_differs(tmp_path: Path) -> None:
    for seed in range(2):
        for normalizer in ("identity", "center"):
            run(tmp_path / "a", seed=seed, normalizer=normalizer)
    rows = read_rows([tmp_path / "a"])
    name_arms(rows)
    assert labels_of(rows) == ["center, seed 0", "center, seed 1", "identity, seed 0", "identity, seed 1"]
    assert labels_of([rows[0], rows[0]]) == ["trec-center-s0-0.0001"] * 2


def test_unfinished_runs_are_shown_and_numbers_of_one_run_are_not(tmp_path: Path) -> None:
    paths = [run(tmp_path, seed=0), run(tmp_path, seed=1, finished=False, numbers="0,1.0,,,\n")]
    text = write_overlay(paths, tmp_path).read_text()
    assert text.count("<svg") == 1
    assert "unfinished" in text


def test_the_command_writes_the_page_or_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [str(run(tmp_path, seed=seed)) for seed in range(2)]
    assert main(paths) == 0
    assert (tmp_path / "runs.html").exists()
    assert main([*paths, str(tmp_path / "gone")]) == 2
    assert main([*paths, str(tmp_path)]) == 2  # no run itself
    assert all(line.startswith("error: Expected") for line in capsys.readouterr().err.splitlines())
    with pytest.raises(InputError, match="at most"):
        write_overlay([Path(paths[0])] * (MOST + 1))
