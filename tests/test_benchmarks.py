"""The benchmarks run: on a tiny model, for a few steps. Their measurements are not tested."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsnorm.errors import InputError

TINY = ["trainer.log_every_n_steps=2", "callbacks.cls_statistics.every=2", "callbacks.cls_statistics.window=1"]


@pytest.fixture
def observers(monkeypatch: pytest.MonkeyPatch, workspace: Path, root: Path) -> Iterator[Any]:
    monkeypatch.syspath_prepend(root / "benchmarks")
    yield importlib.import_module("observers")
    for name in ("observers", "composed"):
        sys.modules.pop(name, None)


def test_each_arm_steps_on_each_batch(observers: Any, tiny_overrides: list[str]) -> None:
    base = [word for word in tiny_overrides if not word.startswith(("callbacks=", "trainer.log"))]
    cadence, seconds = observers.measure([*base, *TINY], arms=list(observers.ARMS), cadences=2)
    assert cadence == (2, 4)
    assert cadence.kinds().tolist() == [0, 1, 0, 2]
    assert {taken.shape for taken in seconds.values()} == {(8, 2)}
    assert all(np.isfinite(taken).all() and (taken[:, 0] > taken[:, 1]).all() for taken in seconds.values())
    assert not seconds["none"][:, 1].any()
    alone = [seconds[name][:, 1] for name in observers.NAMES]
    assert all((counted > 0).all() for counted in (*alone, seconds["both"][:, 1]))
    with pytest.raises(InputError, match="accumulate_grad_batches"):
        observers.measure([*base, "trainer.accumulate_grad_batches=2"], arms=["none"], cadences=1)


def test_a_known_share_is_found(observers: Any) -> None:
    random = np.random.default_rng(0)
    kinds = np.tile(observers.Cadence(2, 4).kinds(), 200)
    plain = random.normal(100, 1, len(kinds))
    ours = plain + np.array([1.0, 3.0, 9.0])[kinds] + random.normal(0, 0.5, len(kinds))
    found, low, high = observers.paired(ours, plain, kinds)
    assert low < 0.035 < high  # (1 + 3 + 1 + 9) / 4 of 100
    assert math.isclose(found, 0.035, abs_tol=0.002)


def test_run_folders_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    module = importlib.import_module("run_folders")
    module.create(tmp_path, 3)
    count, seconds = module.measure(tmp_path)
    assert count == 3
    assert seconds > 0


def test_a_report_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    module = importlib.import_module("report_scale")
    module.write_runs(tmp_path, arms=2, seeds=2, sets=2)
    printed, seconds, memory = module.measure(["-c", module.READ, str(tmp_path)])
    assert int(printed) == 8
    assert seconds > 0
    assert memory > 10


@pytest.mark.slow
def test_the_parts_of_a_head_s_step_are_those_of_the_page(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """On real [CLS]: a matched step is within 5 % of the identity's, in both parts, by numpy."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    head_steps = importlib.import_module("head_steps")
    page = (root / "docs/normalizers/evidence.md").read_text(encoding="utf-8").partition("## Matching the head")[2]
    bench = head_steps.Bench("rotten_tomatoes")
    for key, shares, _ in bench.steps(["center", "l2norm", "rotation", "batchnorm"]):
        cells = next(line for line in page.splitlines() if line.startswith(f"| `{key}` |")).split("|")[2:5]
        printed = [[float(share) for share in cell.split(",")] for cell in cells]
        assert np.abs(np.array(shares) - printed).max() < 0.01, key
        assert np.abs(shares[2] - 1).max() < 0.05, key
    identity, *others = bench.noises(["center", "l2norm", "rotation"])
    assert [name for name, *_ in others] == ["center", "rotation"]  # l2norm cannot be function-matched
    for key, before, after, _ in others:
        assert after == pytest.approx(identity[1], rel=1e-4), key
        assert before != pytest.approx(identity[1], rel=0.05), key


@pytest.mark.parametrize("name", ["clsnorm", "PyTorch, dynamic padding", "matrix products alone", "clsnorm analyze"])
def test_a_program_to_compare_works_once(
    name: str, monkeypatch: pytest.MonkeyPatch, tiny_overrides: list[str], workspace: Path, root: Path
) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    arms = importlib.import_module("speed_arms")
    words = [word for word in tiny_overrides if not word.startswith(("callbacks=", "trainer.max", "trainer.log"))]
    turn = arms.ARMS[name](words, 2).work()
    assert turn.examples == (120 if name == "clsnorm analyze" else 2 * 16)  # half of the rows are select
    assert turn.seconds > 0
    assert turn.peak > 0


def test_ratios_are_those_of_neighbouring_turns(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    turns = importlib.import_module("turns")
    ours = [turns.Turn(100, seconds, 2 * seconds, 1.0) for seconds in (1.0, 4.0, 1.0)]
    peer = [turns.Turn(50, seconds, seconds, 1.0) for seconds in (1.0, 4.0, 2.0)]
    assert turns.ratios(ours, peer) == (2.0, 2.0, 4.0)
    assert turns.ratios(ours, peer, cpu=True) == (1.0, 1.0, 2.0)


def test_a_dose_of_bias_is_tabulated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path, train: Any
) -> None:
    monkeypatch.syspath_prepend(root / "benchmarks")
    module = importlib.import_module("bias_dose")
    words = [
        "normalizer=bias_dose",
        "classifier.init=function_matched",
        "callbacks=[collapse,gradient_norms,sharpness]",
    ]
    words += ["callbacks.sharpness.every=3", "callbacks.sharpness.examples=8", "trainer.max_steps=4"]
    for k in (1, 8):
        run = train(*words, f"normalizer.k={k}")
    monkeypatch.setattr("sys.argv", ["bias_dose.py", str(run.folder.parent)])
    capsys.readouterr()  # what the runs printed
    module.main()
    starts, outcomes = (
        [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
        for table in capsys.readouterr().out.strip().split("\n\n")
    )
    for table in (starts, outcomes):
        assert {len(row) for row in table} == {len(table[0])}
    assert [row[1] for row in starts[2:]] == ["1", "8"]
    assert starts[2][4:6] == ["1", "1"]  # the identity over itself
    assert float(starts[3][3]) > float(starts[2][3])  # a larger mean, a larger curvature of the head
    assert [row[1:4] for row in outcomes[2:]] == [["AdamW", "0.003", "1"], ["AdamW", "0.003", "8"]]
    assert outcomes[3][6] == "one pair"


def test_a_difference_of_doses_has_student_s_interval(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from scipy.stats import ttest_1samp

    monkeypatch.syspath_prepend(root / "benchmarks")
    module = importlib.import_module("bias_dose")
    paired = [0.01, 0.03, -0.02, 0.04, 0.02]
    interval = ttest_1samp(paired, 0).confidence_interval()
    assert module.difference(paired) == f"+0.016 ({interval.low:+.3f} to {interval.high:+.3f})"


def test_an_interval_of_failures_is_exact(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from scipy.stats import binomtest

    monkeypatch.syspath_prepend(root / "benchmarks")
    module = importlib.import_module("bias_dose")
    for failed in range(6):
        interval = binomtest(failed, 5).proportion_ci(method="exact")
        assert module.failures(failed, 5) == f"{failed} of 5 ({interval.low:.2f} to {interval.high:.2f})"
