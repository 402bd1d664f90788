from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_folders import write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.estimates.seed_shares import factors_of, refusal, variance_lines


def lines(folder: Path, cells: list[tuple[int, int]], **fixed: int) -> list[dict[str, Any]]:
    """The first weights move the score by 10 points a level, the order by 1."""
    for place, (init, order) in enumerate(cells):
        streams = {f"seeds__{name}": 0 for name in ("dropout", "subset", "noise")} | {"seeds__init": init}
        write_run(folder, 0.6 + init / 10 + order / 100, seed=place, **streams, seeds__order=order, **fixed)
    return variance_lines(answer([folder], Options(draws=0)).tuned())


def test_crossed_streams_have_shares(tmp_path: Path) -> None:
    found = lines(tmp_path, [(init, order) for init in range(3) for order in range(3)])
    assert [line["source"] for line in found] == ["init", "order", "init x order and the rest"]
    assert found[0]["share"] > 0.9
    assert found[0]["sd"] == pytest.approx(10, abs=0.6)
    assert all(line["low"] <= line["share"] <= line["high"] for line in found)


def test_an_incomplete_design_is_refused_with_its_reason(tmp_path: Path) -> None:
    (found,) = lines(tmp_path, [(0, 0), (0, 1), (1, 0)])
    assert found["reason"] == "init and order are not fully crossed: 3 of 4 combinations, in 3 runs"
    assert "share" not in found


def test_streams_that_move_together_cannot_be_told_apart() -> None:
    together = [(seed,) * 5 for seed in range(4)]
    factors, rest = factors_of(together)
    assert (factors[0][0], rest) == ("init+order+dropout+subset+noise", "")
    assert "always change together" in refusal(factors, 4)
    assert refusal(factors_of([(0,) * 5])[0], 1) == "all runs share all seeds"
    crossed = [(i, o, 2 * i + o, 7, 7) for i in range(2) for o in range(2)]  # another dropout in each run
    factors, rest = factors_of(crossed)
    assert ([name for name, _ in factors], rest, refusal(factors, 4)) == (["init", "order"], "dropout", "")
    nested = [(i, 2 * i + o, 0, 0, 0) for i in range(2) for o in range(2)]
    assert "crossed with no other" in refusal(factors_of(nested)[0], 4)
