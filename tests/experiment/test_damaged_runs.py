"""Whole runs on damaged files, full disks and deleted folders: the same result to the bit, or one line."""

from __future__ import annotations

import json
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, logged_steps, rows, weights

import clsnorm
from clsnorm.dashboard.run_page import write_page
from clsnorm.errors import DamagedFileError, DiskError, InputError
from clsnorm.model import FineTuner
from clsnorm.run_folder import RunFolder, file_digests

Train = Callable[..., SimpleNamespace]
RECIPE = (
    "normalizer=zca_whitening",
    "data.max_train_examples=72",
    "data.batch_size=8",
    "trainer.max_epochs=1",
    "trainer.val_check_interval=3",
    "checkpoint_every=1",
    "callbacks=none",
)


def flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


def interrupted(train: Train) -> tuple[SimpleNamespace, SimpleNamespace]:
    """A whole run, moved elsewhere, and the same one interrupted before its sixth batch."""
    whole = train(*RECIPE)
    elsewhere = whole.folder.rename(whole.folder.with_name("whole"))
    with crashing_before(5):
        train(*RECIPE)
    return SimpleNamespace(folder=elsewhere, score=whole.score), whole


def same(one: SimpleNamespace, other: SimpleNamespace) -> bool:
    tensors = weights(one), weights(other)
    return (
        all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
        and rows(one.folder / "metrics.csv")[-1].keys() == rows(other.folder / "metrics.csv")[-1].keys()
        and logged_steps(one) == logged_steps(other)
        and one.score == other.score
    )


HARMLESS: dict[str, Callable[[RunFolder], Any]] = {
    "config cut": lambda run: run.config.write_bytes(run.config.read_bytes()[:300]),
    "config missing": lambda run: run.config.unlink(),
    "row cut": lambda run: run.metrics.write_bytes(run.metrics.read_bytes() + b"1"),
    "row of zeros": lambda run: run.metrics.write_bytes(run.metrics.read_bytes() + b"\0" * 9 + b"\n"),
    "event cut": lambda run: run.events.write_bytes(run.events.read_bytes() + b"3,,expl"),
    "results cut": lambda run: run.results.write_text('{"status":'),
    "drafts": lambda run: [path.write_text("x") for path in run.checkpoint_drafts()],
}
LOST_ROWS = f"was damaged before the run ended: rows were lost or changed. {file_digests.CURE}"
LOST = ("last flipped", "last cut", "selected flipped", "selected missing")


@pytest.mark.slow
def test_damage_of_an_interrupted_run_changes_nothing_or_is_named(train: Train) -> None:
    whole, run = interrupted(train)
    folder, template = RunFolder(run.folder), shutil.copytree(run.folder, run.folder.with_name("template"))
    for name, damage in HARMLESS.items():
        damage(folder)
        run.score = train(*RECIPE).score
        assert same(whole, run), name
        assert not [path for path in folder.checkpoint_drafts() if path.exists()]
        shutil.rmtree(run.folder)
        shutil.copytree(template, run.folder)
    for name in LOST:
        path = folder.last if "last" in name else folder.selected
        flip(path) if "flipped" in name else path.unlink() if "missing" in name else path.write_bytes(b"PK\3\4")
        with pytest.raises(DamagedFileError, match=rf"{path.name} is damaged: .*Delete it .*to start the run over"):
            train(*RECIPE)
        path.unlink(missing_ok=True)
        folder.last.unlink(missing_ok=True)
        assert train(*RECIPE).score == whole.score, name
        shutil.rmtree(run.folder)
        shutil.copytree(template, run.folder)


def test_damage_of_a_finished_run_is_named(train: Train) -> None:
    run = train(*RECIPE)
    folder = RunFolder(run.folder)
    for path in (folder.selected, folder.results, folder.predictions):
        content = path.read_bytes()
        for damage in (flip, lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.write_text("")):
            damage(path)
            with pytest.raises(InputError, match=rf"{path.name}"):
                folder.read_predictions() if path == folder.predictions else clsnorm.load_run(run.folder)
            path.write_bytes(content)
    folder.config.write_text("normalizer: 3")
    with pytest.raises(InputError, match=r"config\.yaml is damaged: it lacks choices"):
        clsnorm.load_run(run.folder)
    assert train(*RECIPE).score == run.score  # which writes config.yaml again
    assert clsnorm.load_run(run.folder).results == folder.read_results()
    results = json.loads(folder.results.read_text())
    folder.results.write_text(json.dumps(results | {"metrics": {}}, indent=2) + "\n")
    with pytest.raises(DamagedFileError, match=r"results\.json is damaged: its bytes are not those that were written"):
        train(*RECIPE)


def test_a_damaged_calibration_is_computed_again(train: Train, workspace: Path) -> None:
    expected = weights(train(*RECIPE, "paths.cache=cache"))
    (state,) = (workspace / "cache" / "calibrations").glob("*/state.pt")
    for damage in (flip, lambda path: path.write_bytes(b""), lambda path: (path.unlink(), path.mkdir())):
        damage(state)
        found = weights(train(*RECIPE, "paths.cache=cache", "force=true"))
        assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.fixture
def full() -> Iterator[Callable[[int], None]]:
    """Sets a limit of bytes for each file, as a quota would; it is lifted at the end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_in_one_line_and_the_run_resumes_once_there_is_room(
    train: Train, full: Callable[[int], None]
) -> None:
    whole, run = interrupted(train)
    full(100_000)
    with pytest.raises(DiskError, match=r"Cannot write .*(last|selected)\.ckpt: File too large") as caught:
        train(*RECIPE)
    assert "\n" not in str(caught.value)
    assert not [path for path in run.folder.rglob(".*") if "lock" not in path.name]
    full(resource.RLIM_INFINITY)
    run.score = train(*RECIPE).score
    assert same(whole, run)


def test_a_deleted_folder_ends_the_run_and_is_not_created_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    step, deleted = FineTuner.training_step, []

    def training_step(self: FineTuner, *arguments: Any) -> Any:
        if self.trainer.fit_loop.total_batch_idx == 3:
            deleted.append(Path(self.trainer.default_root_dir))
            shutil.rmtree(deleted[0])
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", training_step)
        with pytest.raises(DiskError, match=r"Leave a run's folder in place"):
            train(*RECIPE)
    assert not deleted[0].exists()
    assert train(*RECIPE).folder == deleted[0]


def change_a_digit(path: Path) -> str:
    """Changes the last digit of a file, that of a configuration's hash aside, and returns the content before."""
    content = path.read_text()
    values = content.partition("config_hash")[0]
    place = max(place for place, character in enumerate(values) if character.isdigit())
    path.write_text(content[:place] + str((int(content[place]) + 1) % 10) + content[place + 1 :])
    return content


def test_a_changed_digit_in_text_files_of_a_finished_run_is_named(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(*RECIPE, "abort_on=[]")
    folder = RunFolder(run.folder)
    results = folder.require_results()
    assert {"metrics.csv", "events.csv", "config.yaml"} <= set(results["files"])
    assert folder.changes(results) == []
    for path in (folder.metrics, folder.config):
        content, name = change_a_digit(path), re.escape(str(path))
        found = rf"{name} is not what the run wrote \(its sha256 differs\)\. "
        for show in (lambda: clsnorm.load_run(run.folder), lambda: train(*RECIPE, "abort_on=[]")):
            caplog.clear()
            show()
            assert any(re.match(found, message) for message in caplog.messages), path
        assert re.search(rf'class="warning">{found}', write_page(run.folder).read_text())
        path.write_text(content)
    assert "is not what the run wrote" not in write_page(run.folder).read_text()


def test_a_changed_digit_in_the_tables_of_an_interrupted_run_is_named(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    whole, run = interrupted(train)
    folder = RunFolder(run.folder)
    change_a_digit(folder.metrics)  # the last row before the resume point, which is logged after its state is saved
    train(*RECIPE)
    assert any("metrics.csv: its rows before step 5 are not those that were written" in m for m in caplog.messages)
    results = folder.require_results()
    assert results["files"]["metrics.csv"] is None
    assert folder.changes(results) == [f"{folder.metrics} {LOST_ROWS}"]
    assert results["metrics"] == RunFolder(whole.folder).require_results()["metrics"]
