"""What of a sweep's overrides is searched, combined or repeated."""

from __future__ import annotations

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clsnorm.errors import InputError
from clsnorm.sweep.search_space import Interval, SearchSpace, words_of

LR = "optimizer.lr=tag(log, interval(1e-5, 1e-3))"


def space(*words: str) -> SearchSpace:
    return SearchSpace(OverridesParser.create().parse_overrides(list(words)))


def test_intervals_are_searched_lists_combined_and_seeds_repeated() -> None:
    found = space("normalizer=identity,layernorm", LR, "seed=range(2)", "data=sst2", "seeds.init=5,6")
    assert found.intervals == {"optimizer.lr": Interval(1e-5, 1e-3, log=True, whole=False)}
    assert found.combinations == [("normalizer=identity", "data=sst2"), ("normalizer=layernorm", "data=sst2")]
    assert found.repeats == [(seed, init) for seed in ("seed=0", "seed=1") for init in ("seeds.init=5", "seeds.init=6")]
    assert [found.label(words) for words in found.combinations] == ["normalizer=identity", "normalizer=layernorm"]


def test_the_later_override_of_a_key_counts() -> None:
    found = space("normalizer=identity,layernorm", LR, "normalizer=scale", "optimizer.lr=interval(0.1,0.2)")
    assert found.combinations == [("normalizer=scale",)]
    assert found.label(found.combinations[0]) == "all"
    assert found.intervals == {"optimizer.lr": Interval(0.1, 0.2, log=False, whole=False)}
    assert found.repeats == [()]


@pytest.mark.parametrize("word", ["a=1", "a=1,2", "a=interval(2,1)", "a=interval(1,1)", "a=tag(log,interval(0,1))"])
def test_nothing_to_search_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="interval"):
        space(word)


def test_early_points_are_spread_and_the_same_for_all_who_ask() -> None:
    found = space(LR, "data.batch_size=int(interval(4, 64))")
    points = [found.early(number) for number in range(8)]
    assert points == [space(LR, "data.batch_size=int(interval(4, 64))").early(number) for number in range(8)]
    shares = sorted(math.log(point["optimizer.lr"] / 1e-5) / math.log(100) for point in points)
    assert (
        max(b - a for a, b in zip([0.0, *shares], [*shares, 1.0], strict=True)) < 0.26
    )  # random points: 0.34 on average
    assert len({point["data.batch_size"] for point in points}) == 8
    assert all(isinstance(point["data.batch_size"], int) for point in points)


def test_values_are_short_whole_where_meant_and_inside() -> None:
    assert Interval(1e-5, 1e-3, log=True, whole=False).rounded(3.16227e-5) == 3.16e-5
    assert Interval(0.1234, 0.5678, log=False, whole=False).rounded(0.12341) == 0.1234
    assert Interval(4, 64, log=True, whole=True).at(0.5) == 16
    ends = Interval(1e-5, 1e-3, log=True, whole=False)
    assert (ends.at(0), ends.at(1)) == (1e-5, 1e-3)


@pytest.mark.parametrize("word", [LR, "a=interval(0.5, 2)", "a=int(interval(1, 9))", "a=tag(log, int(interval(1, 9)))"])
def test_an_interval_is_shown_as_it_is_typed(word: str) -> None:
    (interval,) = space(word).intervals.values()
    (again,) = space(f"a={interval}").intervals.values()
    assert again == interval


def test_words_keep_all_digits() -> None:
    assert words_of({"optimizer.lr": 3.16e-05, "data.batch_size": 16}) == (
        "optimizer.lr=3.16e-05",
        "data.batch_size=16",
    )
