"""The fuzz of configurations: each of a few is built or refused in one line, and a fault is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_configurations import BASE, ODD, attempt, draw, fuzz, known

from clsnorm.config import rules


def test_random_configurations_are_built_or_refused_in_one_line(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, wrong = fuzz(range(30), 7, model=tiny_bert, folder=tmp_path)
    assert wrong == []
    assert counts.total() == 30
    assert counts["refused"] > 15
    monkeypatch.chdir(tmp_path)  # where the cases ran; which of them are built changes with each new option
    unchanged = [*BASE, "data.train=train.csv", f"model.path={tiny_bert}", f"paths.cache={tmp_path}/cache"]
    assert attempt(unchanged) == ("built", "")


def test_a_traceback_and_several_lines_are_noticed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    assert attempt(["seed=-1"])[0] == "refused"
    monkeypatch.setitem(rules.RULES["train"], "seed", crash)
    outcome, reason = attempt(["seed=-1"])
    assert outcome == "traceback"
    assert "a bug" in reason


def test_cases_repeat_and_cover_keys_groups_and_hydra() -> None:
    keys, groups = known([*BASE, "data.train=x", "model.path=x"])
    words = [word for number in range(3000) for word in draw(0, number, keys, groups)]
    assert words == [word for number in range(3000) for word in draw(0, number, keys, groups)]
    text = "\n".join(words)
    assert all(f"={value}" in text for value in ODD)
    assert all(f"{group}=" in text for group in groups)
    assert {"hydra.job_logging", "hydra.callbacks", "hydra.job.env_set", "optimizer.lr"} <= set(keys)
    assert "hydra." in text
