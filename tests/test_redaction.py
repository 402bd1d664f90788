"""Secrets are found by their name or their form; ordinary words of the field are left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from clsnorm.redaction import LEFT_OUT, looks_secret, redacted, redacted_code, redacted_message, shown

CONF = Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "logger.wandb.api_key",
        "WANDB_API_KEY",
        "HF_TOKEN",
        "password",
        "db.passwd",
        "client_secret",
        "AWS_SECRET_ACCESS_KEY",
        "credentials",
        "auth_token",
        "x.apikey",
        "private_key",
    ],
)
def test_secret_names(name: str) -> None:
    assert looks_secret(name)
    assert shown(name, "hidden") == LEFT_OUT
    assert "hidden" not in redacted(f"refused: +{name}=hidden.")
    assert "hidden" not in redacted(f"(given: a=1, {name}='hidden 2', b=2)")
    assert "hidden" not in shown("logger.x", {"a": [{name: "hidden"}]})


@pytest.mark.parametrize(
    "name", ["cls_token", "pad_token", "max_tokens", "keys", "row_keys", "token", "secretary", "author"]
)
def test_ordinary_names(name: str) -> None:
    assert not looks_secret(name)
    assert shown(name, "value") == "'value'"
    assert redacted(f"{name}=value") == f"{name}=value"


def test_no_key_of_the_project_s_configuration_looks_secret() -> None:
    def keys(node: object) -> set[str]:
        if not isinstance(node, dict):
            return set().union(*map(keys, node)) if isinstance(node, list) else set()
        return {str(key) for key in node}.union(*map(keys, node.values()))

    found = set().union(*(keys(yaml.safe_load(path.read_text())) for path in CONF.rglob("*.yaml")))
    assert len(found) > 100
    assert not list(filter(looks_secret, found))


def test_documents_of_the_project_hold_no_key() -> None:
    for path in [*CONF.rglob("*.yaml"), *CONF.parent.glob("src/**/*.py"), *CONF.parent.glob("docs/*.md")]:
        if path.name != "redaction.py":  # its examples do
            text = path.read_text(encoding="utf-8")
            assert redacted_code(text) == text, path


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnopqrstuvwx",
        "sk-abcdefghijklmnopqrstuvwxyz",
        "ghp_abcdefghijklmnopqrstuvwx1234",
        "AKIA0123456789ABCDEF",
        "mysql://me:abcdefgh@host",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabcdefgh",
    ],
)
def test_keys_by_their_form(text: str) -> None:
    for clean in (redacted, redacted_code, redacted_message):
        assert "abcdefgh" not in clean(f"x {text} y")
        assert not re.search(r"AKIA\d", clean(text))


def test_a_message_hides_what_was_typed_and_what_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "from-outside")
    monkeypatch.setenv("MY_PLACE", "a-folder")
    text = "got 'typed-here' and from-outside in a-folder"
    assert redacted_message(text, ["+x.password=typed-here"]) == f"got '{LEFT_OUT}' and {LEFT_OUT} in a-folder"
