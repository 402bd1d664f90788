from __future__ import annotations

import math
from pathlib import Path

import pytest
from sweep_folders import record_gradients, write_run

from clsnorm.report.answers import Options, answer
from clsnorm.report.claims.exploding_gradients import exploding_gradients
from clsnorm.report.claims.paper_claim import PaperClaim


def judged(folder: Path, *, seeds: int, bad: int, arm_bad: int = 0, recorded: bool = True) -> PaperClaim:
    """``bad`` of the baseline's seeds explode, ``arm_bad`` of the arm's; its gradients are half the baseline's."""
    for seed in range(seeds):
        for normalizer, count, early in (("identity", bad, 1.0), ("center", arm_bad, 0.5)):
            run = write_run(folder, 0.8, seed=seed, normalizer=normalizer)
            if recorded:
                record_gradients(run, early * (1 + 0.01 * seed), kinds=["explosion"] if seed < count else ["spike"])
    return exploding_gradients(answer([folder], Options(draws=0)))


def test_many_explosions_that_an_arm_prevents_support_it(tmp_path: Path) -> None:
    found = judged(tmp_path, seeds=10, bad=8)
    assert found.support == "supported"
    assert "in 8 of 10 runs of the baseline" in found.sentence
    assert "center had fewer." in found.sentence
    (ratio,) = [one for one in found.evidence if "early gradient" in one.quantity]
    assert ratio.value == pytest.approx(0.5)
    assert ratio.ends == pytest.approx((0.5, 0.5))


def test_many_that_no_arm_prevents_are_mixed_and_more_in_an_arm_is_no_support(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", seeds=10, bad=8, arm_bad=8).support == "mixed"
    found = judged(tmp_path / "b", seeds=10, bad=0, arm_bad=10)
    assert found.support == "cannot tell"
    assert "center had more." in found.sentence


def test_none_in_many_seeds_refutes_it_and_in_few_cannot(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", seeds=36, bad=0).support == "not supported"
    assert judged(tmp_path / "b", seeds=5, bad=0).support == "cannot tell"


def test_failed_runs_count_without_records_of_gradients_and_the_sentence_says_so(tmp_path: Path) -> None:
    found = judged(tmp_path, seeds=4, bad=0, recorded=False)
    assert "Of 4 baseline runs 4 did not record gradients" in found.sentence
    assert not [one for one in found.evidence if math.isnan(one.value)]


def test_runs_that_share_seeds_are_not_counted(tmp_path: Path) -> None:
    for place in range(4):
        write_run(tmp_path, seed=place, seeds__init=place % 2)
    found = exploding_gradients(answer([tmp_path], Options(draws=0)))
    assert (found.support, "not independent" in found.sentence) == ("cannot tell", True)
