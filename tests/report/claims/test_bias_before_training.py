from __future__ import annotations

from pathlib import Path

from sweep_folders import record_start, write_run

from clsnorm.report.claims.bias_before_training import bias_before_training
from clsnorm.report.claims.paper_claim import PaperClaim
from clsnorm.report.sweeps.arm_names import name_arms
from clsnorm.report.sweeps.run_row import read_rows


def judged(folder: Path, **shares: tuple[float, float] | None) -> PaperClaim:
    for data, pair in shares.items():
        write_run(folder, data=data)  # one run that records nothing
        run = write_run(folder, data=data, seed=1)
        if pair is not None:
            record_start(run, *pair)
    rows = read_rows([folder])
    name_arms(rows)
    return bias_before_training(rows, "identity")


def test_both_halves_on_all_sets_support_it(tmp_path: Path) -> None:
    found = judged(tmp_path, trec=(0.7, 0.4), rte=(0.5, 0.3))
    assert found.support == "supported"
    assert "the mean holds 50 % to 70 % of the mean square (noise: 0.2 %)" in found.sentence
    assert "On 2 of 2 data sets it is not centred, on 2 it is concentrated" in found.sentence
    assert [(one.task, one.value) for one in found.evidence] == [
        ("rte", 0.5),
        ("rte", 0.3),
        ("trec", 0.7),
        ("trec", 0.4),
    ]
    assert all("-s1-" in one.runs[0].path.name for one in found.evidence)


def test_one_half_is_mixed_and_noise_refutes_it(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", trec=(0.7, 0.015)).support == "mixed"
    assert judged(tmp_path / "b", trec=(0.002, 0.016)).support == "not supported"
    assert judged(tmp_path / "c", trec=(0.03, 0.02)).support == "not supported"  # above noise, but too small to matter


def test_without_records_nothing_can_be_said(tmp_path: Path) -> None:
    found = judged(tmp_path, trec=None)
    assert (found.support, list(found.evidence)) == ("cannot tell", [])
