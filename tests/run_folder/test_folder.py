import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clsnorm.errors import InputError
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim

CONFIG = {"config_hash": "a", "force": False}


def test_refusal_of_input_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    folder = RunFolder(tmp_path / "out" / "of" / "runs" / "one")
    with pytest.raises(InputError, match="typo"), Claim(folder).hold(CONFIG):
        raise InputError("typo")
    assert list(tmp_path.iterdir()) == [tmp_path / "other"]


def test_refusal_never_removes_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError), Claim(RunFolder(Path("runs/one").absolute())).hold(CONFIG):
        raise InputError("typo")
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]
    assert not list(Path.cwd().iterdir())


def test_a_refusal_does_not_change_an_older_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG):
        (folder.path / "last.ckpt").write_text("state")
    with pytest.raises(InputError), Claim(folder).hold(CONFIG):
        raise InputError("typo")
    assert folder.last.read_text() == "state"


def test_files_survive_a_crash(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")

    def work() -> None:
        with Claim(folder).hold(CONFIG):
            (folder.path / "last.ckpt").write_text("state")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert folder.last.exists()


def test_results_of_a_finished_run_are_returned(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG) as results:
        assert results is None
        folder.results.write_text(json.dumps({"status": "completed"}))
    with Claim(folder).hold(CONFIG) as results:
        assert results == {"status": "completed"}


def test_force_starts_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG):
        folder.results.write_text("{}")
        folder.statistics.mkdir()
    with Claim(folder).hold({**CONFIG, "force": True}) as results:
        assert results is None
        assert not folder.statistics.exists()


def test_force_restarts_an_interrupted_run_only_once(tmp_path: Path) -> None:
    folder, forced = RunFolder(tmp_path / "one"), {**CONFIG, "force": True}

    def interrupted(config: dict) -> bool:
        """Whether there was a checkpoint to resume from."""
        with contextlib.suppress(KeyboardInterrupt), Claim(folder).hold(config):
            found = folder.last.exists()
            folder.last.write_text("state")
            raise KeyboardInterrupt
        return found

    assert [interrupted(CONFIG), interrupted(CONFIG)] == [False, True]
    assert [interrupted(forced), interrupted(forced)] == [False, True]
    with Claim(folder).hold(forced):
        folder.results.write_text("{}")
    with Claim(folder).hold(forced) as results:
        assert results is None


@pytest.mark.parametrize("parent_reports", [False, True])
def test_a_crash_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, parent_reports: bool) -> None:
    RunFolder(tmp_path).record_error(ZeroDivisionError("by zero"), parent_reports=parent_reports)
    assert json.loads((tmp_path / "error.json").read_text())["kind"] == "ZeroDivisionError"
    assert ("by zero" in caplog.text) != parent_reports


def test_a_refused_forced_run_restores_the_finished_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG):
        folder.results.write_text('{"status": "completed"}')
        folder.selected.write_text("weights")
        folder.statistics.mkdir()
    with pytest.raises(InputError), Claim(folder).hold({**CONFIG, "force": True}):
        raise InputError("typo")
    assert folder.read_results() == {"status": "completed"}
    assert folder.selected.read_text() == "weights"
    assert folder.statistics.is_dir()


def test_a_refusal_after_training_has_begun_keeps_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")

    def work() -> None:
        with Claim(folder).hold(CONFIG):
            folder.last.write_text("state")
            raise InputError("late")

    with pytest.raises(InputError, match="late"):
        work()
    assert folder.last.read_text() == "state"


def test_other_configuration_is_refused_untouched(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG):
        pass
    before = folder.config.read_text()
    with (
        pytest.raises(InputError, match="configuration b, but it holds a"),
        Claim(folder).hold({**CONFIG, "config_hash": "b"}),
    ):
        pytest.fail("claimed a folder of another configuration")
    assert folder.config.read_text() == before


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(InputError, match="thesis"), Claim(RunFolder(tmp_path)).hold({**CONFIG, "force": True}):
        pytest.fail("claimed a folder of somebody else")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


HOLD = """
import sys, time
from pathlib import Path
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
folder = RunFolder(Path(sys.argv[1]))
with {claim}:
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "claim", ["Claim(folder).hold({'config_hash': 'a', 'force': False})", "folder.hold_as_worker()"]
)
def test_folder_in_use_is_refused(tmp_path: Path, claim: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(claim=claim), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=f"process {holder.pid} is running"),
            Claim(RunFolder(tmp_path)).hold(CONFIG),
        ):
            pytest.fail("claimed a folder in use")
    finally:
        holder.kill()
        holder.wait()
    with Claim(RunFolder(tmp_path)).hold(CONFIG) as results:  # a killed process holds no lock
        assert results is None


def test_a_fork_does_not_hold_the_lock(tmp_path: Path) -> None:
    """Processes that load data may outlive a killed run."""
    reader, writer = os.pipe()
    started, start = os.pipe()
    with Claim(RunFolder(tmp_path)).hold(CONFIG):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.write(start, b"!")
            os.read(reader, 1)  # until the test closes the pipe
            os._exit(0)
        assert os.read(started, 1) == b"!"
    with Claim(RunFolder(tmp_path)).hold(CONFIG) as results:
        assert results is None
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0
