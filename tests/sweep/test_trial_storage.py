"""Trials in Optuna's storages: written at once, read by another process, unharmed by a killed writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.sweep import trial_storage
from clsnorm.sweep.search_space import SearchSpace
from clsnorm.sweep.trial_storage import COMPLETE, FAILED, KINDS, PRUNED, RUNNING, TrialStorage, require_optuna

SPACE = SearchSpace(OverridesParser.create().parse_overrides(["a=tag(log, interval(1e-5, 1e-3))"]))


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("optuna")
    return request.param


def opened(folder: Path, kind: str, *, sampler: str = "tpe", seed: int = 0) -> TrialStorage:
    storage = TrialStorage(folder, kind=kind, sampler=sampler, seed=seed)
    with storage.alone():
        storage.open("one", mode="max")
    return storage


def test_trials_are_read_back_by_another_one(tmp_path: Path, kind: str) -> None:
    first, second = opened(tmp_path, kind), opened(tmp_path, kind)
    ends = [(COMPLETE, 0.5), (PRUNED, None), (FAILED, None), (COMPLETE, float("-inf"))]
    with first.alone():
        for slot in range(5):
            first.add("one", SPACE, slot, {"a": SPACE.early(slot)["a"]}, [{"job": {"name": f"run-{slot}"}}])
    with second.alone():
        for number, (state, score) in enumerate(ends):
            second.tell("one", number, state, score)
    with first.alone():
        found = first.trials("one")
    assert [(trial.state, trial.score) for trial in found] == [*ends, (RUNNING, None)]
    assert [trial.values for trial in found] == [SPACE.early(slot) for slot in range(5)]
    assert [(trial.number, trial.slot, trial.runs) for trial in found] == [
        (slot, slot, [{"job": {"name": f"run-{slot}"}}]) for slot in range(5)
    ]


@pytest.mark.parametrize("sampler", trial_storage.SAMPLERS)
def test_a_suggestion_depends_on_trials_and_place_alone(tmp_path: Path, kind: str, sampler: str) -> None:
    found = []
    for folder in ("a", "b"):
        storage = opened(tmp_path / folder, kind, sampler=sampler)
        with storage.alone():
            for slot in range(4):
                storage.add("one", SPACE, slot, SPACE.early(slot), [])
                storage.tell("one", slot, COMPLETE, float(slot == 2))
            found.append([storage.suggest("one", SPACE, slot) for slot in (4, 4, 5)])
    assert found[0] == found[1]
    assert found[0][0] == found[0][1] != found[0][2]
    assert all(1e-5 <= one["a"] <= 1e-3 and one["a"] == float(f"{one['a']:.3g}") for one in found[0])


def test_suggestions_come_near_the_best(tmp_path: Path, kind: str) -> None:
    storage = opened(tmp_path, kind)
    with storage.alone():
        for slot in range(12):
            value = 2e-5 if slot % 3 == 0 else 9e-4
            storage.add("one", SPACE, slot, {"a": value}, [])
            storage.tell("one", slot, COMPLETE, 1.0 if value < 1e-4 else 0.0)
        suggested = [storage.suggest("one", SPACE, slot)["a"] for slot in range(12, 32)]
    assert sum(value < 1e-4 for value in suggested) >= 15  # at random: half of them


def test_the_torn_line_of_a_killed_worker_is_dropped(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    storage = opened(tmp_path, "journal")
    with storage.alone():
        storage.add("one", SPACE, 0, SPACE.early(0), [])
    with (tmp_path / KINDS["journal"]).open("ab") as stream:
        stream.write(b'{"op_code": 4, "worker_id": "x", "stu')
    again = opened(tmp_path, "journal")
    for worker in (storage, again):
        with worker.alone():
            worker.add("one", SPACE, 1, SPACE.early(1), [])
    with again.alone():
        assert [trial.slot for trial in again.trials("one")] == [0, 1, 1]


def test_a_damaged_file_is_refused_with_advice(tmp_path: Path, kind: str) -> None:
    opened(tmp_path, kind)
    (tmp_path / KINDS[kind]).write_bytes(b"nonsense\nnonsense\n")
    with pytest.raises(DamagedFileError, match="Remove it"):
        opened(tmp_path, kind)


def test_without_optuna_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"clsnorm\[optuna\]"):
        require_optuna()
