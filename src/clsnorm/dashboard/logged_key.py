"""`Key`: name, pattern, unit and meaning of a logged number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Key:
    """One logged number, or a family of them.

    Attributes:
        name: Name in the documentation.
        pattern: Regular expression for the whole name.
        unit: Unit of the value: ``nats``, ``share`` (0 to 1), ``count``, ``ratio``, or ``norm`` (Euclidean).
        meaning: One sentence.
    """

    name: str
    pattern: str
    unit: str
    meaning: str

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)
