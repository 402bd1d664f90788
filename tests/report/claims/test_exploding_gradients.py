from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from sweep_folders import record_gradients, write_run

from clsnorm.files import write_sealed
from clsnorm.gradients.explosion import BLOCK, ENOUGH
from clsnorm.report.answers import Options, answer
from clsnorm.report.claims.exploding_gradients import exploding_gradients
from clsnorm.report.claims.paper_claim import PaperClaim
from clsnorm.report.sweeps.recorded import LEAST_STEPS


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
    assert "center (0 of 10 against 8; 0 runs failed) had fewer." in found.sentence
    (ratio,) = [one for one in found.evidence if "early gradient" in one.quantity]
    assert ratio.value == pytest.approx(0.5)
    assert ratio.ends == pytest.approx((0.5, 0.5))


def test_many_that_no_arm_prevents_are_mixed_and_more_in_an_arm_is_no_support(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", seeds=10, bad=8, arm_bad=8).support == "mixed"
    found = judged(tmp_path / "b", seeds=10, bad=0, arm_bad=10)
    assert found.support == "cannot tell"
    assert "center (10 of 10 against 0; 0 runs failed) had more." in found.sentence


def test_none_in_many_seeds_refutes_it_and_in_few_cannot(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", seeds=36, bad=0).support == "not supported"
    assert judged(tmp_path / "b", seeds=5, bad=0).support == "cannot tell"


def test_failed_runs_count_without_records_of_gradients_and_the_sentence_says_so(tmp_path: Path) -> None:
    found = judged(tmp_path, seeds=4, bad=0, recorded=False)
    assert "No explosion can be seen in 4 of 4 runs of the baseline and runs of center" in found.sentence
    assert not [one for one in found.evidence if math.isnan(one.value)]


def sweep(folder: Path, *, seeds: int, steps: dict[str, int], accuracy: dict[str, float]) -> PaperClaim:
    """No event in any run; runs of so many steps; an accuracy below 0.45 is a failure."""
    for seed in range(seeds):
        for normalizer in accuracy:
            run = write_run(folder, accuracy[normalizer], seed=seed, normalizer=normalizer)
            record_gradients(run)
            content = json.loads((run / "results.json").read_text())
            write_sealed(
                run / "results.json", {k: v for k, v in content.items() if k != "digest"} | {"steps": steps[normalizer]}
            )
    return exploding_gradients(answer([folder], Options(draws=0)))


def test_runs_too_short_to_show_an_explosion_refute_nothing(tmp_path: Path) -> None:
    fine = {"identity": 0.8, "center": 0.8}
    assert (
        sweep(tmp_path / "long", seeds=36, steps=dict.fromkeys(fine, LEAST_STEPS), accuracy=fine).support
        == "not supported"
    )
    found = sweep(tmp_path / "short", seeds=36, steps=dict.fromkeys(fine, LEAST_STEPS - 1), accuracy=fine)
    assert found.support == "cannot tell"
    assert "0 of 36 pairs of data set and seed (95 % interval 0 % to 100 %" in found.sentence
    assert "No arm was shown to have fewer or more." in found.sentence


def test_an_arm_that_cannot_show_explosions_has_not_fewer(tmp_path: Path) -> None:
    failing = {"identity": 0.3, "center": 0.8}
    steps = {"identity": LEAST_STEPS, "center": LEAST_STEPS}
    assert sweep(tmp_path / "seen", seeds=10, steps=steps, accuracy=failing).support == "supported"
    blind = sweep(tmp_path / "blind", seeds=10, steps=steps | {"center": 10}, accuracy=failing)
    assert blind.support == "mixed"
    assert "No arm was shown to have fewer or more." in blind.sentence


def test_failures_of_an_arm_are_more_even_if_the_baseline_was_watched_alone(tmp_path: Path) -> None:
    steps = {"identity": LEAST_STEPS, "center": 10}
    found = sweep(tmp_path, seeds=10, steps=steps, accuracy={"identity": 0.8, "center": 0.3})
    assert "center (10 of 10 against 0; 10 runs failed) had more." in found.sentence


def test_runs_that_share_seeds_are_not_counted(tmp_path: Path) -> None:
    for place in range(4):
        write_run(tmp_path, seed=place, seeds__init=place % 2)
    found = exploding_gradients(answer([tmp_path], Options(draws=0)))
    assert (found.support, "not independent" in found.sentence) == ("cannot tell", True)


def test_the_least_steps_are_those_of_the_detectors() -> None:
    assert max(ENOUGH, 4 * BLOCK) == LEAST_STEPS
