"""The sections of a report below its verdicts: Markdown and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clsnorm.pages.numbers import UNDEFINED, number
from clsnorm.report.cells import interval, p_text, points, signed

Line = Mapping[str, Any]
MOST = 500  # rows of a table; a page with more is too large


@dataclass(frozen=True)
class ReportSection:
    """A table with its heading.

    Attributes:
        key: Name of its CSV file, and in links.
        title: Heading.
        about: What it shows, in words.
        heads: Of the columns.
        rows: Cells as texts.
        texts: Number of columns, from the left, that are not numbers.
        runs: Folders of the runs of each row; empty if rows are not linked.
    """

    key: str
    title: str
    about: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 2
    runs: Sequence[Sequence[str]] = field(default=())


def sections(facts: Mapping[str, Any]) -> list[ReportSection]:
    """Returns the sections that have rows, each with at most `MOST` of them."""
    found = [build(facts[key]) for key, build in BUILDERS.items() if facts.get(key)]
    return [_shortened(section) for section in found if section.rows]


def _shortened(section: ReportSection) -> ReportSection:
    if len(section.rows) <= MOST:
        return section
    about = f"{section.about} Here are the first {MOST} of {len(section.rows)} rows; {section.key}.csv has all."
    return replace(section, about=about, rows=section.rows[:MOST], runs=section.runs[:MOST])


def _three(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"


def _evidence(lines: Sequence[Line]) -> ReportSection:
    rows = [
        [
            str(line["claim"]),
            line["task"] or "all",
            line["arm"] or UNDEFINED,
            line["quantity"],
            number(line["value"]),
            _ends(line),
            _ends(line, "noise_"),
        ]
        for line in lines
    ]
    return ReportSection(
        "evidence",
        "Evidence for the claims",
        "Noise: isotropic, of as many rows and dimensions; 95 % of it is within the interval. The intervals of claims "
        "1 and 2 are outside the family; the runs of claim 3 are linked in the table of verdicts.",
        ["claim", "data", "arm", "number", "value", "95 % interval", "noise, 95 %"],
        rows,
        texts=4,
        runs=[line["runs"] for line in lines],
    )


def _ends(line: Line, prefix: str = "") -> str:
    low, high = line[f"{prefix}low"], line[f"{prefix}high"]
    return UNDEFINED if low is None else f"{number(low)} to {number(high)}"


def _overall(lines: Sequence[Line]) -> ReportSection:
    rows = [
        [line["arm"], *(points(line[name]) for name in ("iqm", "improvement", "rank")), _rank_range(line)]
        for line in lines
    ]
    about = (
        "At tuned learning rates. IQM: mean of the middle half of a data set's runs, averaged over data sets; it "
        "hides failed runs by design. "
        "P(better): probability that a run of the arm beats one of the baseline. Mean rank over data sets (1 is best), "
        "and its range with one data set left out. Described, not tested."
    )
    heads = ["arm", "IQM", "P(better)", "mean rank", "without one set"]
    return ReportSection("overall", "Over data sets", about, heads, rows, texts=1)


def _rank_range(line: Line) -> str:
    return UNDEFINED if line["rank_low"] is None else f"{points(line['rank_low'])} to {points(line['rank_high'])}"


def _predictions(lines: Sequence[Line]) -> ReportSection:
    names = ("flips", "kappa", "jensen_shannon", "calibration_error", "brier")
    rows = [[line["task"], line["arm"], str(line["seeds"]), *(_three(line[name]) for name in names)] for line in lines]
    about = (
        "At tuned learning rates, on the report split. Between two seeds: share of examples with another predicted "
        "class (flips), Fleiss' kappa, Jensen-Shannon divergence in bits. Mean over seeds: expected calibration error "
        "of 15 equal bins, Brier score (0 to 2). Described, not tested."
    )
    heads = ["data", "arm", "seeds", "flips", "kappa", "JS", "ECE", "Brier"]
    return ReportSection("predictions", "Agreement and calibration", about, heads, rows)


def _predictors(lines: Sequence[Line]) -> ReportSection:
    rows = [
        [
            line["over"],
            line["predictor"],
            line["outcome"],
            line["arm"],
            str(line["points"]),
            str(line["units"]),
            signed(line["rank_correlation"]),
            "too few" if line["low"] is None else interval(line),
            p_text(line["p"]),
        ]
        for line in lines
    ]
    told = [line for line in lines if line["low"] is not None]
    apart = sum(line["low"] > 0 or line["high"] < 0 for line in told)
    about = (
        f"Spearman's rank correlation with 95 % intervals, at least 5 data sets or seeds. {apart} of {len(told)} "
        "intervals exclude 0; by chance about 1 in 20 would. Over data sets: the number before training, or the mean "
        "early gradient of the baseline's runs, against the arm's gain. Over runs: ranks within each data set, arm and "
        "rate; the jackknife leaves out one seed at a time. A correlation shows no cause."
    )
    heads = ["over", "predictor", "outcome", "arm", "points", "units", "rank correlation", "95 % interval", "p"]
    return ReportSection("predictors", "What goes along with gains and failures", about, heads, rows, texts=4)


def _variance(lines: Sequence[Line]) -> ReportSection:
    rows = [[line["task"], line["arm"], line["source"], *_component(line)] for line in lines if not line["reason"]]
    refused: dict[tuple[str, str], list[str]] = {}
    for line in (line for line in lines if line["reason"]):
        refused.setdefault((line["task"], line["reason"]), []).append(line["arm"])
    rows += [  # why others have none; without any there is no section
        [task, ", ".join(arms), f"cannot be told: {why}", *[UNDEFINED] * 4]
        for (task, why), arms in refused.items()
        if rows
    ]
    about = (
        "Scores at tuned learning rates: standard deviation from each source in points, its share of the variance with "
        "a 95 % interval. Only where streams of random numbers are fully crossed (`sweep=seeds`). With few levels the "
        "intervals are wide. A share is 0 if its estimate is not positive."
    )
    heads = ["data", "arm", "source", "degrees of freedom", "sd", "share", "95 % interval"]
    return ReportSection("variance", "Where the spread comes from", about, heads, rows, texts=3)


def _component(line: Line) -> list[str]:
    if line["share"] is None:
        return [UNDEFINED] * 4
    return [str(line["free"]), points(line["sd"]), f"{line['share']:.0%}", f"{line['low']:.0%} to {line['high']:.0%}"]


def _curves(lines: Sequence[Line]) -> ReportSection:
    shown = [line for line in lines if line["k"] in BUDGETS or line["k"] == line["runs"]]
    names = ("chosen_on_select", "best_on_report")
    rows = [
        [line["task"], line["arm"], str(line["k"]), *(points(line[name]) for name in names), str(line["runs"])]
        for line in shown
    ]
    about = (
        "Expected report score of the run that is best on select among k runs of an arm, drawn from all of its "
        "learning rates and seeds; and of the best on report, which nobody can choose. The CSV file has every k."
    )
    heads = ["data", "arm", "k", "chosen on select", "best on report", "runs"]
    return ReportSection("curves", "Expected score by budget", about, heads, rows)


def _classes(lines: Sequence[Line]) -> ReportSection:
    rows = [
        [
            *(line[name] for name in ("task", "arm", "class")),
            f"{line['rows']:g}",
            *(points(line[name]) for name in ("recall", "precision", "f1", "f1_sd")),
            signed(line["f1_gain"]),
            f"{line['confused_with']} ({line['confused']:.0%})" if line["confused_with"] else UNDEFINED,
        ]
        for line in lines
    ]
    about = (
        "At tuned learning rates, on the report split, means over seeds in points; F1 less that of the baseline; the "
        "class that examples are most often wrongly taken for. Whole tables of confusion are in confusion.csv. "
        "Described, not tested."
    )
    heads = ["data", "arm", "class", "rows", "recall", "precision", "F1", "sd", "F1 gain", "taken for"]
    return ReportSection("classes", "Classes", about, heads, rows, texts=3)


BUDGETS = (1, 2, 3, 5, 10, 20, 50, 100)
BUILDERS = {
    "evidence": _evidence,
    "predictors": _predictors,
    "overall": _overall,
    "variance": _variance,
    "curves": _curves,
    "classes": _classes,
    "predictions": _predictions,
}
CSV_ONLY = ("profile", "confusion")  # too long to read
