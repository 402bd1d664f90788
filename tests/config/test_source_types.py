"""Types read from the source are those of the imported classes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import yaml

from clsnorm.config import CONF
from clsnorm.config.roles import locate
from clsnorm.config.source_types import source_misfits
from clsnorm.config.types import misfits

VALUES: list[Any] = [None, True, 1, -2.5, "abc", [], [1, 2], ["a"], {}, {"a": 1}, 10**30]
OWN = sorted(
    {
        target
        for path in CONF.rglob("*.yaml")
        for target in [(yaml.safe_load(path.read_text()) or {}).get("_target_", "")]
        if target.startswith("clsnorm.")
    }
)


@pytest.mark.parametrize("target", OWN)
def test_what_the_source_refuses_the_class_refuses_in_the_same_words(target: str) -> None:
    kind = locate(target, "here")
    names = [name for name in inspect.signature(kind).parameters if name not in ("args", "kwargs")]
    for value in VALUES:
        given = dict.fromkeys(names, value)
        assert set(source_misfits(target, given)) <= set(misfits(kind, given)), value


@pytest.mark.parametrize(
    ("target", "given", "rule"),
    [
        ("clsnorm.optim.AdamW", {"lr": "abc"}, ("lr", "a number")),
        ("clsnorm.optim.AdamW", {"betas": 0.9}, ("betas", "a list of 2, each value a number")),
        ("clsnorm.data.UserFiles", {"max_length": None}, ("max_length", "a whole number")),
        ("clsnorm.model.Classifier", {"init_std": "x"}, ("init_std", "a number")),
    ],
)
def test_ordinary_mistakes_are_found(target: str, given: dict[str, Any], rule: tuple[str, str]) -> None:
    assert list(source_misfits(target, given)) == [rule]


@pytest.mark.parametrize(
    "target", [None, 5, "os.system", "clsnorm", "clsnorm.gone.X", "clsnorm.optim.Gone", "torch.nn.Linear"]
)
def test_other_targets_fit(target: object) -> None:
    assert not list(source_misfits(target, {"lr": "abc", "in_features": "x"}))
