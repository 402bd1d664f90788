"""Counts of outcomes, as a table."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from fuzz.cases import Case
from fuzz.judgement import WRONG


@dataclass
class Counts:
    """Outcomes of all files.

    Attributes:
        outcomes: Of each change and mode, how often each outcome came.
        reasons: Of refusals.
        faults: Numbers of the files with each wrong outcome.
    """

    outcomes: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, case: Case, outcome: str, detail: str) -> None:
        """Counts one file."""
        self.outcomes[case.change, case.mode][outcome] += 1
        if outcome.startswith("refused"):
            self.reasons[_reason(detail)] += 1
        if outcome in WRONG:
            self.faults[outcome].append((case.number, detail))

    def table(self) -> str:
        """Returns the table of counts, in Markdown."""
        columns = ["equal", "refused", *WRONG]
        rows = [["file", "read with", "files", *columns], ["---"] * (3 + len(columns))]
        for (change, mode), counts in sorted(
            self.outcomes.items(), key=lambda item: (not item[0][0].startswith("well-formed"), item[0])
        ):
            rows.append([change, mode, str(counts.total()), *(str(counts[name]) for name in columns)])
        total = sum(self.outcomes.values(), Counter[str]())
        rows.append(["all", "", str(total.total()), *(str(total[name]) for name in columns)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _reason(message: str) -> str:
    """Returns the beginning of a message without names, values and numbers."""
    plain = re.sub(r"\S*/\S+|'[^']*'|\"[^\"]*\"|`[^`]*`|\d+", "…", message)
    return " ".join(plain.split()[:9])
