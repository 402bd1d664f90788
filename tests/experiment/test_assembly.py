"""The parts of a run, and its records."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from clsnorm.errors import InputError
from clsnorm.experiment import run as experiment
from clsnorm.experiment.assembly import Experiment, reproducible_strategy
from clsnorm.experiment.run_records import RunRecords, Start
from clsnorm.model import load_tokenizer
from clsnorm.records import ResumePoint, SelectedWeights

Train = Callable[..., SimpleNamespace]


@pytest.fixture
def built(train: Train, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The parts of a run that has finished."""
    found: list[Experiment] = []
    original = experiment.build

    def build(*arguments: Any) -> Experiment:
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(experiment, "build", build)
    train("trainer.max_steps=2", "callbacks=[collapse,cls_statistics]")
    (one,) = found
    return one


def test_observers_report_to_the_records_and_the_resume_point_comes_last(built: Experiment) -> None:
    assert set(built.observers) == {"collapse", "cls_statistics"}
    assert len({id(observer.report) for observer in built.observers.values()}) == 1
    records: RunRecords = built.records
    callbacks: list[Any] = built.trainer.callbacks  # type: ignore[attr-defined]  # as Lightning orders them
    assert [type(callback) for callback in callbacks[-2:]] == [SelectedWeights, ResumePoint]
    assert callbacks[-1] is records.resume_point
    assert set(map(id, records.callbacks)) <= set(map(id, callbacks))
    assert records.selected.path == built.folder.selected
    assert records.selected.step == built.trainer.global_step == 2
    assert records.stopwatch.examples == 32
    assert records.resume_point.data == built.data.fingerprint


def test_the_start_of_a_run_is_measured_once_per_run() -> None:
    first, second = Start(), Start()
    assert first.stopwatch is not second.stopwatch
    assert first.commit == second.commit


def enlarged(tokenizer: Any) -> Any:
    tokenizer.add_tokens(["zzremark"])
    return tokenizer


def without_cls(tokenizer: Any) -> Any:
    tokenizer.backend_tokenizer.post_processor = None
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, cls_token="[CLS]", unk_token="[UNK]")


@pytest.mark.parametrize(
    ("change", "message"),
    [(enlarged, "1 token beyond them, such as 'zzremark'"), (without_cls, "turns 'a' into 'a'")],
)
def test_a_wrong_tokenizer_is_refused_before_the_weights_are_loaded(
    train: Train, tiny_bert: Path, workspace: Path, change: Callable[[Any], Any], message: str
) -> None:
    shutil.copytree(tiny_bert, workspace / "model")
    (workspace / "model" / "model.safetensors").write_bytes(b"none")
    change(load_tokenizer(str(tiny_bert))).save_pretrained(workspace / "model")
    with pytest.raises(InputError, match=message):
        train(f"model.path={workspace}/model")
    assert not list((workspace / "runs").glob("*"))


def test_two_callbacks_whose_states_would_be_one_are_refused(train: Train) -> None:
    two = "{one:{_target_:clsnorm.records.EarlyStopping},two:{_target_:clsnorm.records.EarlyStopping}}"
    with pytest.raises(InputError, match=r"one EarlyStopping, but got `callbacks\.one` and `callbacks\.two`"):
        train("callbacks=none", f"+callbacks={two}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("given", "world_size", "expected"),
    [
        ("ddp", 2, "ddp"),
        ("ddp", 3, "ddp_find_unused_parameters_true"),
        ("auto", 4, "ddp_find_unused_parameters_true"),
        ("auto", 1, "auto"),
        ("ddp_find_unused_parameters_false", 3, "ddp_find_unused_parameters_true"),
    ],
)
def test_ddp_does_not_rearrange_its_sums_on_more_than_two_processes(given: str, world_size: int, expected: str) -> None:
    assert reproducible_strategy(given, world_size) == expected
    strategy = object()
    assert reproducible_strategy(strategy, world_size) is strategy
