"""The fuzz of data files: a small corpus is read right, and a wrong reader is noticed."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import fuzz.judgement as judgement
import fuzz_data_files
import pytest
from fuzz.cases import GIVEN, STATED, WELL_FORMED, draw
from fuzz.dialects import Dialect, random_file, read
from fuzz.judgement import WRONG, expected_rows
from fuzz.mutations import MUTATIONS, REFERENCE
from fuzz.outcomes import Counts
from fuzz_data_files import fuzz

from clsnorm.errors import InputError


def total(counts: Counts) -> Counter[str]:
    return sum(counts.outcomes.values(), Counter[str]())


@pytest.fixture(scope="module")
def corpus() -> Counts:
    return fuzz(range(400), seed=17)


def test_files_are_read_as_other_libraries_read_them_or_refused(corpus: Counts) -> None:
    assert corpus.faults == {}
    assert total(corpus).total() == 400
    for kind in (WELL_FORMED, STATED):
        assert corpus.outcomes[kind, GIVEN]["equal"] > 10
    assert corpus.reasons.total() == total(corpus)["refused"]


@pytest.mark.parametrize("number", range(40))
def test_other_libraries_read_what_was_written(number: int) -> None:
    dialect, table, content = random_file(Random(number))
    wanted = expected_rows(table, table.rows)
    assert expected_rows(table, read(dialect, content, table.names)) == wanted
    assert wanted


def test_a_case_can_be_drawn_again() -> None:
    assert [draw(3, n) == draw(3, n) for n in range(20)] == [True] * 20
    assert draw(3, 0).content != draw(4, 0).content


def test_a_lone_carriage_return_is_a_character_without_quoting() -> None:
    content = b"a \rb\tx\r\nc\ty\r\n"
    dialect = Dialect(".tsv", "\t", header=False, end="\r\n")
    assert read(dialect, content, ["", ""]) == [["a \rb", "x"], ["c", "y"]]


def test_a_file_that_is_utf_8_by_chance_is_judged_as_utf_8() -> None:
    """Case 97590 of seed 0 is written in Windows-1252, and all its bytes are valid UTF-8."""
    case = draw(0, 97590)
    assert (case.dialect.encoding, case.allowed) == ("utf-8", REFERENCE)
    assert any("\u07c0" in str(cell) for row in case.reference or [] for cell in row)


def test_a_well_formed_file_with_a_row_like_its_header_may_be_refused(tmp_path: Path) -> None:
    """Case 83846 of seed 0: nobody can tell whether the row is a second header."""
    case = draw(0, 83846)
    path = tmp_path / f"a{case.suffix}"
    path.write_bytes(case.content)
    outcome, message = judgement.judge(case, path, tmp_path)
    assert (outcome, case.table.names in case.table.rows) == ("refused", True)
    assert "Delete these lines; or, if they are rows, set header=false" in message


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_change_gives_a_file(name: str) -> None:
    for number in range(20):
        rng = Random(number)
        dialect, table, content = random_file(rng)
        changed, after, _ = MUTATIONS[name](rng, dialect, table, content)
        assert isinstance(after, bytes)
        assert (after, changed.suffix) != (content, dialect.suffix) or name in (
            "cut",
            "columns shuffled",
            "bytes replaced",
        )


@pytest.mark.parametrize("outcome", WRONG)
def test_a_wrong_reader_is_noticed(monkeypatch: pytest.MonkeyPatch, outcome: str) -> None:
    right = judgement.product_rows

    def wrong(*given: Any) -> list[Any]:
        if outcome == "traceback":
            raise KeyError("x")
        if outcome == "hang":
            time.sleep(9)
        if outcome == "refused though given":
            raise InputError("no")
        return [(*texts, f"{label}!") for *texts, label in right(*given)]

    monkeypatch.setattr(judgement, "product_rows", wrong)
    monkeypatch.setattr(judgement, "SECONDS", 0.05 if outcome == "hang" else 5)
    numbers = [n for n in range(60) if draw(0, n).change == WELL_FORMED and draw(0, n).mode == GIVEN][:4]
    counts = fuzz(numbers, seed=0)
    assert total(counts)[outcome] == len(numbers)
    assert [number for number, _ in counts.faults[outcome]] == numbers


def test_wrong_files_are_kept_and_the_table_names_all_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judgement, "product_rows", lambda *_: [("x", "y")])
    monkeypatch.setattr("sys.argv", ["fuzz_data_files.py", "--files", "12", "--keep", str(tmp_path / "kept")])
    assert fuzz_data_files.main() == 1
    out = capsys.readouterr().out
    assert "| file | read with | files | equal | refused | silent |" in out
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert kept == {line.partition(":")[0] for line in out.splitlines() if re.match(r"\d+\.\w.*: silent: ", line)}
    assert len(kept) > 5
