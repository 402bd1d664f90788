"""Claim 3: normalizing [CLS] improves the scores."""

from __future__ import annotations

from collections.abc import Sequence

from clsnorm.pages.numbers import plural
from clsnorm.report.answers import Answer, Conclusions
from clsnorm.report.claims.paper_claim import Evidence, PaperClaim, Support
from clsnorm.report.inference.verdicts import Verdict

CLAIM = "Normalizing [CLS] improves the scores."
CONTROLS = (  # arms that normalize nothing, or that ask why a normalizer helps; marked so in conf/normalizer
    "bias_dose", "center_others", "center_outliers", "identity", "ln_refit", "rotation", "scale", "spectrum_matched",
)  # fmt: skip
WORDS = ((Verdict.BETTER, "better"), (Verdict.WORSE, "worse"), (Verdict.EQUIVALENT, "equivalent within the margin"),
         (Verdict.UNDECIDED, "undecided"))  # fmt: skip


def improved_scores(found: Conclusions) -> PaperClaim:
    """Returns the claim, judged from the verdicts of the family; controls do not count.

    Judged over all data sets where they have a verdict there, else on each one. Supported if all normalizers are
    better; mixed if some are, or if an undecided one is better on a data set; refuted if all others are equivalent or
    worse; else open.
    """
    family = [one for one in found.family if not _is_control(one.arm)]
    decisive = _decisive(family)
    better_somewhere = [one for one in family if one.verdict is Verdict.BETTER]
    verdicts = [one.verdict for one in decisive]
    if verdicts and all(one is Verdict.BETTER for one in verdicts):
        support = Support.SUPPORTED
    elif better_somewhere:
        support = Support.MIXED
    elif verdicts and Verdict.UNDECIDED not in verdicts:
        support = Support.REFUTED
    else:
        support = Support.UNKNOWN
    controls = [one for one in found.family if _is_control(one.arm) and one.verdict is Verdict.BETTER]
    evidence = [
        Evidence(one.task, one.arm, "mean difference, points", one.mean, one.interval()) for one in found.family
    ]
    return PaperClaim(3, CLAIM, support, _sentence(decisive, family, controls), evidence)


def _is_control(arm: str) -> bool:
    return arm.partition(" ")[0] in CONTROLS


def _decisive(family: Sequence[Answer]) -> list[Answer]:
    over = {one.arm for one in family if not one.task}
    return [one for one in family if not one.task or one.arm not in over]


def _sentence(decisive: Sequence[Answer], family: Sequence[Answer], controls: Sequence[Answer]) -> str:
    if not decisive:
        text = "No normalizer was compared with the baseline, only controls."
    else:
        counted = [(word, [_named(one) for one in decisive if one.verdict is kind]) for kind, word in WORDS]
        parts = [f"{len(names)} {word} ({', '.join(names)})" for word, names in counted if names]
        what = plural(len(decisive), "normalizer" if all(not one.task for one in decisive) else "comparison")
        text = f"Of {what}: {'; '.join(parts)}."
        for kind, word in WORDS[:3]:
            if single := [_named(one) for one in family if one.verdict is kind and one not in decisive]:
                text += f" On single data sets {word}: {', '.join(single)}."
    if controls:
        text += f" Of the controls better: {', '.join(_named(one) for one in controls)}; geometry need not be why."
    return text


def _named(one: Answer) -> str:
    return f"{one.arm} on {one.task}" if one.task else one.arm
