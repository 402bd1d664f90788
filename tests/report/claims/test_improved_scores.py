from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.report.answers import Answer, Conclusions, Options
from clsnorm.report.claims.improved_scores import CONTROLS, improved_scores
from clsnorm.report.inference.verdicts import Verdict

B, W, E, U = Verdict.BETTER, Verdict.WORSE, Verdict.EQUIVALENT, Verdict.UNDECIDED


def judged(*verdicts: tuple[str, str, Verdict]) -> tuple[str, str]:
    family = [Answer(arm, task, (0.5, 0.5), verdict=verdict) for arm, task, verdict in verdicts]
    found = improved_scores(Conclusions(Options(), [], [], family))
    assert len(found.evidence) == len(family)
    return str(found.support), found.sentence


@pytest.mark.parametrize(
    ("verdicts", "support"),
    [
        ([B, B], "supported"),
        ([B, U], "mixed"),
        ([B, W], "mixed"),
        ([E, W], "not supported"),
        ([E, U], "cannot tell"),
        ([], "cannot tell"),
    ],
)
def test_the_rule(verdicts: list[Verdict], support: str) -> None:
    assert judged(*((f"arm{i}", "trec", one) for i, one in enumerate(verdicts)))[0] == support


def test_the_verdict_over_all_sets_decides_and_single_ones_are_named() -> None:
    support, text = judged(("center", "trec", B), ("center", "rte", U), ("center", "", U))
    assert support == "mixed"
    assert text == "Of 1 normalizer: 1 undecided (center). On single data sets better: center on trec."
    assert judged(("center", "trec", U), ("center", "rte", U), ("center", "", E))[0] == "not supported"


def test_single_sets_where_an_undecided_one_is_worse_or_equivalent_are_named_too() -> None:
    support, text = judged(("center", "trec", W), ("center", "rte", E), ("center", "", U))
    assert support == "cannot tell"
    assert "On single data sets worse: center on trec. On single data sets equivalent" in text


def test_a_control_that_is_better_supports_nothing() -> None:
    support, text = judged(("rotation", "trec", B), ("center", "trec", E), ("scale k=2", "trec", B))
    assert support == "not supported"
    assert "Of the controls better: rotation on trec, scale k=2 on trec" in text


def test_controls_are_those_that_the_configurations_mark() -> None:
    conf = Path(__file__).parents[3] / "conf" / "normalizer"
    marked = {path.stem for path in conf.glob("*.yaml") if "; a control" in path.read_text(encoding="utf-8")}
    assert marked == set(CONTROLS)
