"""`ClassMapping`: which class of a data set each class of a run stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import InputError, require_choice


@dataclass(frozen=True)
class ClassMapping:
    """The class of the data that each class of a run counts as.

    Attributes:
        pairs: Class of the data by class of the run, both by name; None: an answer that does not count.
        sources: For each class of the data, in the order of its ids, the ids of the run's classes that count as it.
    """

    pairs: dict[str, str | None]
    sources: tuple[tuple[int, ...], ...]

    @classmethod
    def between(cls, run: Sequence[str], data: Sequence[str], given: Mapping[Any, Any]) -> ClassMapping:
        """Maps classes of the same name to each other, and others as ``given``.

        Args:
            run: The run's classes, by id.
            data: The data's classes, by id.
            given: Class of the data, or None, by class of the run.

        Raises:
            InputError: If a class is unknown, if one of the run has no counterpart, or if one of the data has none.
        """
        stated = {str(name): None if value is None else str(value) for name, value in given.items()}
        for name, value in stated.items():
            require_choice("classes", name, run, advice="These are the classes of the run")
            if value is not None:
                require_choice(f"classes.{name}", value, data, advice="These are the classes of the data")
        lost = [name for name in run if name not in stated and name not in data]
        pairs = {name: stated.get(name, name) for name in run}
        never = [name for name in data if name not in pairs.values()]
        if lost or never:
            raise InputError(_unmatched(run, data, lost, never))
        numbers = {name: number for number, name in enumerate(run)}
        sources = tuple(tuple(numbers[name] for name, value in pairs.items() if value == target) for target in data)
        return cls(pairs, sources)

    def apply(self, logits: Tensor) -> Tensor:
        """Returns logits of the data's classes, ``(n, K)``, from those of the run's, ``(n, C)``.

        The probability of a class is the sum of those that count as it, divided by the sum of all that count. If each
        class counts as one, logits are only reordered.
        """
        columns = [
            logits[:, source[0]] if len(source) == 1 else logits[:, list(source)].logsumexp(1)
            for source in self.sources
        ]
        return torch.stack(columns, 1)


def _unmatched(run: Sequence[str], data: Sequence[str], lost: Sequence[str], never: Sequence[str]) -> str:
    parts = []
    if lost:
        parts.append(f"the data have no {', '.join(lost)}")
    if never:
        parts.append(f"no class of the run counts as {', '.join(never)}")
    example = f"'classes={{{(lost or run)[0]}: {(never or data)[0]}}}'"
    return (
        f"Expected the classes of the run ({', '.join(run)}) to be those of the data ({', '.join(data)}), but "
        f"{' and '.join(parts)}. Say which stands for which, as in {example}; null: an answer that does not count"
    )
