"""`InputError` and the checks of values."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from clsnorm import errors
from clsnorm.errors import InputError

CASES: list[tuple[Callable[..., None], tuple[Any, ...], dict[str, Any], list[Any], list[Any]]] = [
    (errors.require_switch, (), {}, [True, False], [None, "no", 0]),
    (errors.require_switch, (), {"or_null": True}, [None], ["null"]),
    (errors.require_whole, (), {"least": 1, "most": 3}, [1, 3], [0, 4, 1.0, True, "1", None]),
    (errors.require_whole, (), {"or_null": True}, [None, -5], [0.5]),
    (errors.require_positive, (), {}, [1e-9, 3], [0, -1, math.inf, math.nan, True, "1", None]),
    (errors.require_between, (0, 1), {}, [0, 1, 0.5], [-0.1, 1.1, math.nan, True]),
    (errors.require_fraction, (), {}, [1, 0.1], [0, 1.1, True]),
    (errors.require_probability, (), {}, [0, 0.9], [1, -0.1, None]),
    (errors.require_choice, (["max", "min"],), {}, ["max"], ["mx", None]),
]


@pytest.mark.parametrize(("check", "arguments", "options", "good", "bad"), CASES)
def test_a_check_accepts_its_range_and_names_argument_and_value(
    check: Callable[..., None], arguments: tuple[Any, ...], options: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        check("data.x", value, *arguments, **options)
    for value in bad:
        with pytest.raises(InputError) as caught:
            check("data.x", value, *arguments, **options, advice="Fix it")
        message = str(caught.value)
        assert message.startswith("Expected argument `data.x` to be "), message
        assert f"but got {value!r}" in message
        assert message.endswith("Fix it")
        assert "\n" not in message


def test_the_nearest_choice_is_suggested() -> None:
    with pytest.raises(InputError, match=r"one of max, min, but got 'mx'\. Did you mean 'max'\?$"):
        errors.require_choice("data.mode", "mx", ["max", "min"])
    assert errors.did_you_mean("zzz", ["max", "min"]) == ""


def test_a_refusal_is_one_line() -> None:
    error = InputError("Expected a column, but it has: a\n b\r\n, c\u2028d. Choose  one")
    assert str(error) == "Expected a column, but it has: a b , c d. Choose  one"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
