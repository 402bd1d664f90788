"""``${oc.env:...}`` reads a short list of variables, and nothing else of the environment."""

from __future__ import annotations

import pytest

from clsnorm.config.choices import default_paths
from clsnorm.config.environment import READABLE, environment, register
from clsnorm.errors import InputError


def test_variables_of_the_list_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in READABLE:
        monkeypatch.setenv(name, "a value")
        assert environment(name) == "a value"
        monkeypatch.delenv(name)
        assert environment(name, 5) == "5"
        assert environment(name, None) is None
        with pytest.raises(InputError, match=f"{name} to be set"):
            environment(name)


@pytest.mark.parametrize("name", ["MY_SECRET", "WANDB_API_KEY", "CLSNORM_PACKAGES", "PATH", "home", "", None])
def test_no_other_variable_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name:
        monkeypatch.setenv(name, "hidden")
    with pytest.raises(InputError, match="to read one of CLSNORM_DATA") as refusal:
        environment(name, "default")
    assert "hidden" not in str(refusal.value)


def test_the_default_folders_need_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setenv("CLSNORM_DATA", "/elsewhere")
    assert default_paths()["data"] == "/elsewhere"
