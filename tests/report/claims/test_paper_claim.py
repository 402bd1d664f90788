from __future__ import annotations

from clsnorm.report.answers import Conclusions, Options
from clsnorm.report.claims import paper_claims
from clsnorm.report.claims.paper_claim import Evidence, PaperClaim, Support


def test_evidence_is_a_line_with_the_number_of_its_claim() -> None:
    line = Evidence("trec", "center", "x", 1.0, ends=(0.5, 2.0), noise=(0.1, 0.0, 0.2)).line(2)
    assert (line["claim"], line["low"], line["high"], line["noise"], line["noise_high"]) == (2, 0.5, 2.0, 0.1, 0.2)
    assert Evidence("", "", "x", 1.0).line(1)["noise_low"] is None


def test_without_runs_nothing_can_be_said() -> None:
    found = paper_claims(Conclusions(Options(), [], [], []))
    assert [one.number for one in found] == [1, 2, 3]
    assert {one.support for one in found} == {Support.UNKNOWN}
    assert all(isinstance(one, PaperClaim) and one.sentence for one in found)
