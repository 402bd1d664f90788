"""A report as Markdown: what is estimated, in words; verdicts; tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.pages.numbers import UNDEFINED, plural
from clsnorm.report.cells import Line, interval, p_text, points, share_interval_text, signed
from clsnorm.report.sections import sections

CLAIMS = (
    "Claims of Zhou, Du and Ren (arXiv:1911.03918), each judged by a rule that was set beforehand, for the models and "
    "data of these runs alone. *Cannot tell* is no evidence against a claim."
)


def document(facts: Mapping[str, Any]) -> str:
    """Returns the whole text."""
    parts = ["# Report", *estimands(facts), "## The claims of the paper", CLAIMS]
    parts += [
        f"{line['claim']}. {line['text']} **{line['support'].capitalize()}.** {line['sentence']}"
        for line in facts["claims"]
    ]
    parts += ["## Runs", _states(facts), setup_table(facts["setup"]), *(f"- {note}" for note in facts["notes"])]
    parts += ["## Verdicts", verdict_table(facts["verdicts"])]
    parts += [f"- {text}" for text in sentences(facts)]
    parts += ["## Scores", arm_table(facts["arms"])]
    if facts["equal_rates"]:
        parts += ["## At equal learning rates", "Outside the family: p is not adjusted.", rate_table(facts)]
    for one in sections(facts):
        parts += [f"## {one.title}", one.about, table(one.heads, one.rows, right=range(one.texts, len(one.heads)))]
    return "\n\n".join(part for part in parts if part) + "\n"


def estimands(facts: Mapping[str, Any]) -> list[str]:
    """Returns what is estimated and what the verdicts mean."""
    baseline, margin, family = facts["baseline"], facts["margin"], len(facts["family"])
    return [
        f"Each arm is compared with `{baseline}`, each at the learning rate that was chosen for it on the select "
        "split. The difference is the mean over paired seeds and report examples, in points of the monitored metric, "
        "for new seeds and new examples: both count as random. Over all data sets it is the mean over sets like these. "
        "Positive is better. Failed runs are part of it; a run without a score counts as the constant prediction.",
        f"*Better* and *worse*: no difference is refuted. *Equivalent within the margin*: a difference of {margin:g} "
        "points or more is refuted, both ways. *Undecided*: neither, which is no evidence of equality. The family: "
        f"{plural(family, 'comparison')}; the chance of any false claim among them is at most 5 % (Holm's step-down in "
        "Shaffer's form). Intervals are of single comparisons and not adjusted, so one may exclude 0 where the verdict "
        "is undecided.",
    ]


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """Returns a sentence for each comparison, made from its numbers by rule."""
    return [sentence(line, facts["margin"]) for line in facts["verdicts"]]


def sentence(line: Line, margin: float) -> str:
    """Returns the verdict on one comparison as a sentence."""
    where = f"on {line['task']}" if line["task"] else "over all data sets"
    size = f"{signed(line['difference'])} points (95 % interval {interval(line)})"
    if line["verdict"] in ("better", "worse"):
        return f"{line['arm']} is {line['verdict']} {where}: {size}, adjusted p {p_text(line['p_adjusted'])}."
    if line["verdict"] == "undecided":
        extra = f"; {line['open']}" if line["open"] else ""
        return f"{line['arm']} is undecided {where}: {size}{extra}."
    also = " The difference is not 0, but smaller than the margin." if (line["p_adjusted"] or 1) <= 0.05 else ""
    return f"{line['arm']} is equivalent {where} within {margin:g} points: {size}.{also}"


def verdict_table(lines: Sequence[Line]) -> str:
    """Returns the table of verdicts."""
    heads = ["data", "arm", "verdict", "difference", "95 % interval", "p, adjusted", "p of equivalence", "seeds"]
    rows = [
        [
            line["task"] or "all",
            line["arm"],
            line["verdict"],
            signed(line["difference"]),
            interval(line),
            p_text(line["p_adjusted"]),
            p_text(line["p_equivalence_adjusted"]),
            str(line.get("seeds", UNDEFINED)),
        ]
        for line in lines
    ]
    return table(heads, rows, right=(3, 4, 5, 6, 7))


def setup_rows(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Returns heads and rows of the table of what was run."""
    heads = ["data", "model", "metric", "training examples", "steps", "report examples", "seeds", "learning rates"]
    names = ("task", "model", "metric", "train_examples", "steps", "report_examples", "seeds", "rates")
    return heads, [[str(line[name]) for name in names] for line in lines]


def setup_table(lines: Sequence[Line]) -> str:
    """Returns the table of what was run."""
    heads, rows = setup_rows(lines)
    return table(heads, rows, right=range(3, 7)) if rows else ""


def arm_table(lines: Sequence[Line]) -> str:
    """Returns the table of scores over seeds."""
    heads = [
        "data",
        "arm",
        "lr",
        "runs",
        "failed",
        "failure rate, 95 %",
        "mean",
        "sd",
        "median",
        "least",
        "best",
        "seconds",
    ]
    rows = [
        [
            line["task"],
            line["arm"],
            f"{line['optimizer.lr']:g}" if line["optimizer.lr"] is not None else UNDEFINED,
            str(line["runs"]),
            str(line["failed"]),
            share_interval_text(line),
            *(points(line[name]) for name in ("mean", "sd", "median", "least", "best", "seconds")),
        ]
        for line in lines
    ]
    return table(heads, rows, right=range(2, 12))


def rate_table(facts: Mapping[str, Any]) -> str:
    """Returns the table of comparisons at one learning rate."""
    rows = [
        [line["task"], line["arm"], line["protocol"], signed(line["difference"]), interval(line), p_text(line["p"])]
        for line in facts["equal_rates"]
    ]
    return table(["data", "arm", "rate", "difference", "95 % interval", "p"], rows, right=(3, 4, 5))


def _states(facts: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in facts["states"].items() if number)
    listed = "".join(f"\n- {line['run']}: {line['state']}: {line['reason']}" for line in facts["unfinished"][:50])
    return f"{counts}.{listed}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] | range = ()) -> str:
    """Returns a Markdown table; text of others cannot break its cells."""
    rules = ["---:" if place in right else "---" for place in range(len(heads))]
    lines = [heads, rules, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
