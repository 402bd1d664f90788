"""The page and the LaTeX tables show the numbers of the facts, escape others' text, and fetch nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from clsnorm.report.forest import draw_forest
from clsnorm.report.latex import tables
from clsnorm.report.report_page import write_report_page
from clsnorm.report.sections import MOST, ReportSection, sections

HOSTILE = "<script>alert(1)</script>_&%$"


def verdict(task: str, arm: str, word: str, difference: float) -> dict[str, Any]:
    ends = {"low": difference - 1, "high": difference + 1}
    p = {"p": 0.01, "p_adjusted": 0.02, "p_equivalence": 0.5, "p_equivalence_adjusted": 0.6}
    runs = [["../a b", "../c"]] if task else []
    return {"task": task, "arm": arm, "verdict": word, "difference": difference, "open": "", "runs": runs, **ends, **p}


FACTS: dict[str, Any] = {
    "baseline": "identity",
    "margin": 0.5,
    "linked": True,
    "family": [["center", "trec"], [HOSTILE, "trec"], ["center", ""]],
    "states": {"finished": 6},
    "notes": [f"a note {HOSTILE}"],
    "unfinished": [{"run": "../x", "state": "crashed", "reason": HOSTILE}],
    "verdicts": [
        verdict("trec", "center", "better", 3.25),
        verdict("trec", HOSTILE, "undecided", -0.5),
        verdict("", "center", "equivalent within the margin", 0.125),
    ],
    "claims": [{"claim": 1, "text": "A claim.", "support": "cannot tell", "sentence": HOSTILE, "evidence": 0}],
    "evidence": [
        {
            **{"claim": 1, "task": HOSTILE, "arm": "", "quantity": "share", "value": 0.7, "runs": ["../c d"]},
            **dict.fromkeys(("low", "high"), None),
            **{"noise": 0.1, "noise_low": 0.05, "noise_high": 0.15},
        }
    ],
    "equal_rates": [],
    "setup": [
        dict.fromkeys(("task", "model", "metric", "train_examples", "steps", "seeds", "rates"), HOSTILE)
        | {"report_examples": "9"}
    ],
    "overall": [{"arm": "center", "iqm": 1.0, "improvement": 0.5, "rank": 1.0, "rank_low": 1.0, "rank_high": 2.0}],
    "predictions": [],
    "arms": [],
}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_escapes_text_links_runs_and_fetches_nothing(tmp_path: Path) -> None:
    text = write_report_page(tmp_path / "report.html", FACTS).read_text()
    tags = Tags()
    tags.feed(text)
    assert "alert(1)</script>" not in text
    assert [attributes for tag, attributes in tags.found if tag == "script"] == [{}]
    links = [attributes.get("href") for tag, attributes in tags.found if tag == "a"]
    assert {"../a%20b/", "../c%20d/"} <= set(links)
    fetched = [value for _, attributes in tags.found for key, value in attributes.items() if key in ("src", "srcset")]
    assert fetched == []
    assert not re.findall(r"https?://", text.replace("http://www.w3.org", ""))
    assert "@import" not in text


def test_a_page_without_links_names_its_runs_all_the_same(tmp_path: Path) -> None:
    text = write_report_page(tmp_path / "report.html", {**FACTS, "linked": False}).read_text()
    tags = Tags()
    tags.feed(text)
    links = [str(attributes.get("href")) for tag, attributes in tags.found if tag == "a"]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "c d" in text


def test_the_page_has_the_numbers_of_the_facts(tmp_path: Path) -> None:
    text = write_report_page(tmp_path / "report.html", FACTS).read_text()
    assert [float(value) for value in re.findall(r'data-value="([-\d.]+)">[+−]\d+\.\d+<', text)] == [3.25, -0.5, 0.125]


def test_a_claim_is_on_the_page_with_its_evidence(tmp_path: Path) -> None:
    text = write_report_page(tmp_path / "report.html", FACTS).read_text()
    assert "<strong>Cannot tell.</strong>" in text
    assert "0.05 to 0.15" in text
    (section,) = [one for one in sections(FACTS) if one.key == "evidence"]
    assert isinstance(section, ReportSection)
    assert section.rows[0][4:] == ["0.7", "–", "0.05 to 0.15"]


def test_a_long_table_is_cut_and_says_so() -> None:
    (section,) = sections({"evidence": FACTS["evidence"] * (MOST + 3)})
    assert (len(section.rows), len(section.runs)) == (MOST, MOST)
    assert f"the first {MOST} of {MOST + 3} rows; evidence.csv has all" in section.about


def test_latex_has_both_widths_and_escapes() -> None:
    found = tables(FACTS)
    assert set(found) == {"verdicts_narrow", "verdicts_wide"}
    for text in found.values():
        assert r"\_\&\%\$" in text
        assert "+3.25" in text
        assert text.count(r"\\") == 4
    assert tables({**FACTS, "verdicts": []}) == {}


def test_the_forest_is_the_same_bytes_each_time() -> None:
    pytest.importorskip("matplotlib")
    first, second = (draw_forest(FACTS["verdicts"], margin=0.5) for _ in range(2))
    assert first is not None
    assert first == second
    assert first.pdf.startswith(b"%PDF")
    assert draw_forest([{**FACTS["verdicts"][0], "low": None}], margin=0.5) is None
