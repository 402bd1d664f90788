"""Each shape admits what its docstring says and refuses the rest by the key's name."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm.config import shapes
from clsnorm.errors import InputError


@pytest.mark.parametrize(
    ("shape", "admitted", "refused"),
    [
        (shapes.anything, [None, {"_target_": "x"}], []),
        (shapes.scalar, [1, 1.5, True, None, "a b", "ext://x"], ["${x}", "a${x}", [1], {}]),
        (shapes.plain, [1, "a b", "a:b"], ["ext://x", "cfg://x", "${x}", []]),
        (shapes.word, ["a.b-c_d/e:f", 3, None], ["a b", "a\nb", "a;b", "$(x)"]),
        (shapes.name, ["a.b", "???", "__main__"], ["../a", "a/b", "", None, "${x}", ".a"]),
        (shapes.below("x"), ["a/b", "${job}", "a..b"], ["../a", "a/../b", "/a", ".."]),
        (shapes.empty("Why"), [None, {}, [], ""], [{"a": 1}, [1], "a"]),
        (shapes.settled(False, "so"), [False], [True, None, 0]),
        (shapes.one_of("a", "b"), ["a", None], ["c", 1]),
        (shapes.either("${x}", shapes.word), ["${x}", "a"], ["${y}"]),
        (shapes.each(shapes.word), [None, [], ["a"], {"k": "a"}], [["a b"], {"k": "a b"}, {"_target_": "a"}, "a", 3]),
        (shapes.mapping({"k": shapes.word}), [None, {}, {"k": "a"}], [{"k": "a b"}, {"l": "a"}, ["a"], "a"]),
        (shapes.mapping(shapes.keys("k l", shapes.word)), [{"k": 1, "l": 2}], [{"m": 1}]),
    ],
)
def test_a_shape_admits_and_refuses(shape: shapes.Shape, admitted: list[Any], refused: list[Any]) -> None:
    for value in admitted:
        shape("the.key", value)
    for value in refused:
        with pytest.raises(InputError, match=r"the\.key"):
            shape("the.key", value)


def test_a_refusal_names_the_nested_key() -> None:
    with pytest.raises(InputError, match=r"`top\.a\.1` to be a number or one word, but got 'x y'"):
        shapes.mapping({"a": shapes.each(shapes.word)})("top", {"a": ["x", "x y"]})
