"""Tables for a paper: LaTeX with booktabs, as narrow as one column, and over two."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.report.cells import p_text, points, signed

SPECIAL = re.compile(r"[\\&%$#_{}~^]")
WORDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def tables(facts: Mapping[str, Any]) -> dict[str, str]:
    """Returns a table for one column (``verdicts_narrow``) and one for two (``verdicts_wide``), by name."""
    lines = facts["verdicts"]
    if not lines:
        return {}
    narrow = [[escaped(line["task"] or "all"), escaped(line["arm"]), _with_interval(line)] for line in lines]
    wide = [
        [
            escaped(line["task"] or "all"),
            escaped(line["arm"]),
            points(line.get("baseline_score")),
            points(line.get("arm_score")),
            _with_interval(line),
            p_text(line["p_adjusted"]).replace("<", "$<$"),
            escaped(line["verdict"]),
        ]
        for line in lines
    ]
    heads = ["data", "arm", r"difference [95\,\%]"]
    baseline = escaped(facts["baseline"])
    wide_heads = ["data", "arm", baseline, "arm's score", heads[2], "adj. $p$", "verdict"]
    return {
        "verdicts_narrow": _table("table", "llr", heads, narrow),
        "verdicts_wide": _table("table*", "llrrrrl", wide_heads, wide),
    }


def escaped(text: str) -> str:
    r"""Returns text so that LaTeX shows it as it is.

    Example:
        >>> escaped("a_b 50%")
        'a\\_b 50\\%'
    """
    return SPECIAL.sub(lambda found: WORDS.get(found[0], f"\\{found[0]}"), text)


def _with_interval(line: Mapping[str, Any]) -> str:
    mean = signed(line["difference"])
    ends = "" if line["low"] is None else f" [{signed(line['low'])}, {signed(line['high'])}]"
    return f"${mean}{ends}$".replace("−", "-").replace("–", r"\text{--}")


def _table(kind: str, columns: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [" & ".join(row) + r" \\" for row in [heads, *rows]]
    lines = [rf"\begin{{{kind}}}", r"\centering", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule"]
    return "\n".join([*lines, *body[1:], r"\bottomrule", r"\end{tabular}", rf"\end{{{kind}}}", ""])
