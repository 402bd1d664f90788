"""Whole reports of synthetic sweeps: verdicts, files, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sweep_folders import write_run

from clsnorm.errors import InputError
from clsnorm.report.__main__ import main
from clsnorm.report.answers import Answer, Conclusions, Options, answer
from clsnorm.report.collected_facts import collected
from clsnorm.report.inference.verdicts import Verdict
from clsnorm.report.markdown import document
from clsnorm.report.sweep_table import print_after_sweep, short_table


def sweep(folder: Path, *, seeds: int = 4) -> Path:
    """Two sets; ``center`` is far better, ``copy`` gives the baseline's answers, ``wild`` swings."""
    for data in ("trec", "rte"):
        for seed in range(seeds):
            wrong = np.random.default_rng(seed).permutation(120)[:24]
            write_run(folder, data=data, seed=seed, wrong=wrong)
            write_run(folder, data=data, seed=seed, normalizer="copy", wrong=wrong)
            write_run(folder, data=data, seed=seed, normalizer="center", wrong=wrong[:6])
            write_run(folder, 0.8 + 0.1 * (-1) ** seed, data=data, seed=seed, normalizer="wild")
    return folder


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Conclusions:
    return answer([sweep(tmp_path_factory.mktemp("sweep"))], Options(draws=0))


def of(found: Conclusions, arm: str, task: str) -> Answer:
    return next(one for one in found.family if (one.arm, one.task) == (arm, task))


def test_the_four_verdicts_come_from_the_runs(found: Conclusions) -> None:
    assert of(found, "center", "trec").verdict is Verdict.BETTER
    assert of(found, "copy", "trec").verdict is Verdict.EQUIVALENT
    assert of(found, "wild", "trec").verdict is Verdict.UNDECIDED
    assert of(found, "copy", "").verdict is Verdict.EQUIVALENT
    assert len(found.family) == 3 * 3


def test_the_baseline_can_be_any_arm(found: Conclusions) -> None:
    folder = found.rows[0].path.parent
    turned = answer([folder], Options(baseline="center", draws=0))
    assert of(turned, "identity", "rte").verdict is Verdict.WORSE
    assert of(turned, "identity", "rte").mean == pytest.approx(-of(found, "center", "rte").mean)


def test_a_report_to_be_shared_holds_no_path_of_its_runs(found: Conclusions, tmp_path: Path) -> None:
    folder = found.rows[0].path.parent
    assert main([str(folder), "--no-links", "--draws", "0", "--output", str(tmp_path / "shared")]) == 0
    for file in (tmp_path / "shared").glob("report.*"):
        assert str(folder) not in file.read_text()
        assert "../" not in file.read_text()
    assert found.rows[0].path.name in (tmp_path / "shared" / "report.html").read_text()


def test_all_files_have_the_same_numbers_and_the_same_bytes(found: Conclusions, tmp_path: Path) -> None:
    folder = found.rows[0].path.parent
    for name in ("one", "two"):
        assert main([str(folder), "--output", str(tmp_path / name), "--draws", "0"]) == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {"arms.csv", "report.json", "report.md", "verdicts.csv"} <= set(names)
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    facts = json.loads((tmp_path / "one" / "report.json").read_text())
    lines = list(csv.DictReader((tmp_path / "one" / "verdicts.csv").open()))
    assert [float(line["difference"]) for line in lines] == [line["difference"] for line in facts["verdicts"]]
    text = (tmp_path / "one" / "report.md").read_text()
    assert all(f"{line['difference']:+.2f}".replace("-", "−") in text for line in facts["verdicts"])


def test_undecided_is_never_called_no_difference(found: Conclusions) -> None:
    text = document(collected(found))
    (line,) = [line for line in text.splitlines() if line.startswith("- wild is undecided on trec")]
    assert "smallest detectable difference" in line
    assert "no difference" not in "\n".join(line for line in text.splitlines() if line.startswith("- "))


def test_the_short_table_names_each_arm_and_the_command(found: Conclusions) -> None:
    folder = found.rows[0].path.parent
    text = short_table([folder])
    assert all(arm in text for arm in ("center", "copy", "wild"))
    assert text.splitlines()[-1] == f"full report: python -m clsnorm.report {folder}"


def test_a_sweep_of_one_arm_or_without_a_baseline_says_why_there_is_no_comparison(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    assert "all runs are of one arm" in short_table([tmp_path / "a"])
    write_run(tmp_path / "b", normalizer="center")
    assert "no comparison: Expected `--baseline`" in short_table([tmp_path / "b"])


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: Expected folders with runs")
    for wrong in (["--margin", "0"], ["--draws", "-1"]):
        assert main([str(tmp_path), *wrong]) == 2
        assert f"`{wrong[0]}`" in capsys.readouterr().err
    write_run(tmp_path, finished=False)
    with pytest.raises(InputError, match="of 1 none has"):
        answer([tmp_path])


def test_one_seed_is_undecided(tmp_path: Path) -> None:
    found = answer([sweep(tmp_path, seeds=1)], Options(draws=0))
    assert {one.verdict for one in found.family} == {Verdict.UNDECIDED}
    assert "fewer than two paired seeds" in document(collected(found))


def test_arms_that_all_fail_with_one_answer_are_not_equivalent(tmp_path: Path) -> None:
    for seed in range(3):
        for normalizer in ("identity", "center"):
            write_run(tmp_path, seed=seed, normalizer=normalizer, wrong=range(70))
    (one,) = answer([tmp_path], Options(draws=0)).family
    assert one.comparison is not None
    assert one.comparison.untested == "all runs of both arms failed"
    assert one.verdict is Verdict.UNDECIDED


def test_runs_that_share_seeds_of_a_stream_are_undecided_without_an_interval(tmp_path: Path) -> None:
    for place, (init, order) in enumerate([(0, 0), (0, 1), (1, 1), (2, 2), (3, 3), (4, 4)]):
        for normalizer, accuracy in (("identity", 0.6), ("center", 0.9 + 0.01 * (place % 2))):
            streams = {"seeds__init": init, "seeds__order": order}
            write_run(tmp_path, accuracy, seed=place, normalizer=normalizer, **streams)
    found = answer([tmp_path], Options(draws=50))
    (one,) = found.family
    assert one.verdict is Verdict.UNDECIDED
    facts = collected(found)
    (line,) = facts["verdicts"]
    assert "init, order recur in several combinations" in line["open"]
    inferred = ("low", "high", "p", "p_sign_flips", "p_spread", "p_failure", "median_low", "failure_low", "p_max_t")
    assert {line[name] for name in inferred} == {None}
    assert line["difference"] == pytest.approx(30.5, abs=1)
    assert {arm["failure_low"] for arm in facts["arms"]} == {None}
    assert "not independent" in document(facts)


def test_unfinished_and_failed_runs_are_counted(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, 0.8, seed=seed)
        write_run(tmp_path, 0.1 if seed else 0.8, seed=seed, normalizer="center")
    write_run(tmp_path, seed=7, finished=False)
    facts = collected(answer([tmp_path], Options(draws=0)))
    assert facts["states"]["unfinished"] == 1
    assert facts["states"]["failed"] == 2
    (line,) = [line for line in facts["arms"] if line["arm"] == "center"]
    assert (line["failed"], line["runs"]) == (2, 3)


def test_the_table_after_a_sweep_is_of_its_folder(found: Conclusions, capsys: pytest.CaptureFixture[str]) -> None:
    folder = found.rows[0].path.parent
    print_after_sweep(folder, [])  # the runs of other processes count, too
    printed = capsys.readouterr().out
    assert "of 32 runs" in printed
    assert all(word in printed for word in ("center", "trec", "rte"))
    assert printed.rstrip().endswith(f"python -m clsnorm.report {folder}")


def test_of_a_folder_that_cannot_be_pooled_the_table_is_of_this_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path, seed=s, normalizer=name) for s in range(2) for name in ("identity", "center")]
    write_run(tmp_path, seed=3, data__max_length=99)
    print_after_sweep(tmp_path, runs)
    assert "of 4 runs" in capsys.readouterr().out


def test_nothing_stops_the_command(
    found: Conclusions, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    print_after_sweep(tmp_path, [tmp_path / "gone"])
    write_run(tmp_path)
    print_after_sweep(tmp_path, [])
    assert capsys.readouterr().out == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clsnorm.report.sweep_table.answer", lambda *_: 1 / 0)
        print_after_sweep(found.rows[0].path.parent, [])
    assert "no table of the sweep: ZeroDivisionError" in caplog.text


def test_a_place_that_cannot_be_written_is_one_line_and_status_1(
    found: Conclusions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(found.rows[0].path.parent), "--draws", "0", "--output", str(tmp_path / "file" / "x")]) == 1
    assert capsys.readouterr().err.startswith("error: Cannot write")
