"""Commands of words ``key=value``."""

from __future__ import annotations

import pytest

from clsnorm.command.words import read_words
from clsnorm.errors import InputError

OPTIONS = {"run": "the folder of a run", "text": "one text"}


def test_a_value_is_taken_as_it_is_typed() -> None:
    given = read_words(['text=a, "b" = [c] ${d} {e}', "run="], OPTIONS, about="")
    assert given == {"text": 'a, "b" = [c] ${d} {e}', "run": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs/a"], "form KEY=VALUE, but got 'runs/a'"),
        (["rum=a"], "Did you mean 'run'"),
        (["run=a", "run=b"], "run once"),
        (["text=a"], r"Expected run=\.\.\., the folder of a run"),
        (["run="], r"Expected run=\.\.\."),
    ],
)
def test_a_mistake_is_refused_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_words(words, OPTIONS, about="", required=["run"])


def test_help_names_each_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_words(["run=a", "--help"], OPTIONS, about="Does it.")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Does it.")
    assert all(f"{name}=" in printed and meaning in printed for name, meaning in OPTIONS.items())
