"""The three claims of Zhou, Du and Ren (2019), each judged by rule from the numbers of the runs."""

from __future__ import annotations

from clsnorm.report.answers import Conclusions
from clsnorm.report.claims.bias_before_training import bias_before_training
from clsnorm.report.claims.exploding_gradients import exploding_gradients
from clsnorm.report.claims.improved_scores import improved_scores
from clsnorm.report.claims.paper_claim import PaperClaim

__all__ = ["PaperClaim", "paper_claims"]


def paper_claims(found: Conclusions) -> list[PaperClaim]:
    """Returns all claims, judged."""
    first = bias_before_training(found.rows, found.options.baseline)
    return [first, exploding_gradients(found), improved_scores(found)]
