from __future__ import annotations

import re
from typing import Any

import pytest

from clsnorm.pages.figure import PALETTE
from clsnorm.report.curve_figures import draw_budgets, draw_profile

pytest.importorskip("matplotlib")


def curves(arms: int, tasks: int = 1, runs: int = 4) -> list[dict[str, Any]]:
    return [
        {"task": f"set {t}", "arm": f"arm{a}", "k": k, "runs": runs, "chosen_on_select": 60 + a + k}
        for t in range(tasks)
        for a in range(arms)
        for k in range(1, runs + 1)
    ]


def profile(arms: int) -> list[dict[str, Any]]:
    return [{"arm": f"arm{a}", "above": x, "share": 1 - x / 100 / (a + 1)} for a in range(arms) for x in range(101)]


def test_figures_are_the_same_bytes_each_time_in_three_formats() -> None:
    for draw, lines in ((draw_profile, profile(3)), (draw_budgets, curves(3, tasks=2))):
        first, second = (draw(lines, baseline="arm0") for _ in range(2))
        assert first is not None
        assert first == second
        assert first.pdf.startswith(b"%PDF")
        assert first.png[:4] == b"\x89PNG"


def test_they_are_as_wide_as_the_columns_of_a_paper() -> None:
    one, two = draw_profile(profile(2), baseline="arm0"), draw_budgets(curves(2, tasks=3), baseline="arm0")
    assert one is not None
    assert two is not None
    widths = [float(re.findall(r'width="([\d.]+)pt"', drawn.svg)[0]) / 72 for drawn in (one, two)]
    assert widths[0] <= 3.4
    assert widths[1] <= 7.0


def test_the_baseline_and_the_highest_arms_are_shown() -> None:
    drawn = draw_budgets(curves(9), baseline="arm0")
    assert drawn is not None
    shown = set(re.findall(r"arm\d", drawn.svg))
    assert shown == {"arm0", "arm4", "arm5", "arm6", "arm7", "arm8"}
    assert len(shown) == len(PALETTE)


def test_a_single_run_or_arm_has_no_curve() -> None:
    assert draw_budgets(curves(2, runs=1), baseline="arm0") is None
    assert draw_profile(profile(1), baseline="arm0") is None
    assert draw_budgets([], baseline="arm0") is None
