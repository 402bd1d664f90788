"""``python -m clsnorm.sweep``: exit status, one line for a mistake, and what it removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.files import write_sealed
from clsnorm.run_folder.lease import PARENT, leased
from clsnorm.sweep.sweep_command import main, planned


def test_a_plan_is_of_a_file_or_of_typed_words(workspace: Path) -> None:
    folder, jobs = planned(["sweep=first_look"])
    assert folder == Path("multirun/first_look")
    assert len(jobs) == 9
    assert {job.settings["rows"] for job in jobs} == {1000}
    folder, jobs = planned(["normalizer=identity,layernorm", "seed=range(3)", "data=sst2"])
    assert folder == Path("multirun/normalizer_x_seed_sst2")
    assert len({job.name for job in jobs}) == 6
    assert not list(workspace.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "normalizer=layernrom,identity"],
        ["plan", "optimizer.none=1,2"],
        ["plan", "data"],
        ["status", "none"],
        ["retry", "none"],
        ["clean", "none"],
    ],
)
def test_a_mistake_is_one_line(words: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_cleaning_removes_only_what_is_named_and_never_a_running_job(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("done", "failed", "interrupted", "running"):
        (workspace / "seed" / name).mkdir(parents=True)
        (workspace / "seed" / name / "config.yaml").touch()
        (workspace / "seed" / name / "selected.ckpt").write_text("weights")
    write_sealed(workspace / "seed" / "done" / "results.json", {})
    write_sealed(workspace / "seed" / "failed" / "error.json", {"kind": "", "message": "", "traceback": ""})
    everything = ["clean", "seed", "--failed", "--interrupted", "--weights"]
    with leased(workspace / "seed" / "running", PARENT):
        assert main(everything) == 0
        assert "would remove" in capsys.readouterr().out
        assert len(list((workspace / "seed").glob("*/selected.ckpt"))) == 4
        assert main([*everything, "--yes"]) == 0
    left = sorted(str(path.relative_to(workspace / "seed")) for path in (workspace / "seed").glob("*/*"))
    assert left == ["done/config.yaml", "done/results.json", "running/config.yaml", "running/selected.ckpt"]
