"""`Prepared`: the tokens of all splits, and which rows of them a run uses."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clsnorm.data.rows.subsets import LabelNoise
from clsnorm.data.tokens.tokenization import Tokens


@dataclass(frozen=True)
class Prepared:
    """The tokens of all splits.

    Attributes:
        tokens: Of each split; those of train may be of a subset only.
        used: Of each split, which rows of its tokens are used, int64, ascending.
        labels: Class names in the order of their ids; None for regression.
        record: ``published``, ``drops``, ``sizes`` of the splits, ``copies``.
        content: Identifies the content of the source.
    """

    tokens: dict[str, Tokens]
    used: dict[str, np.ndarray]
    labels: list[str] | None
    record: dict[str, Any]
    content: str

    def with_noise(self, noise: LabelNoise, untrained: Collection[str]) -> Prepared:
        """Returns a copy with ``noise`` in the labels of train; it draws no ``untrained`` class that has no row."""
        if not noise.share:
            return self
        train, rows, names = self.tokens["train"], self.used["train"], self.labels or []
        needed = np.array([name not in untrained for name in names])
        classes = np.flatnonzero((np.bincount(train.labels, minlength=len(names)) > 0) | needed)
        labels = np.array(train.labels)
        labels[rows] = noise.applied(labels[rows], classes)
        return replace(self, tokens={**self.tokens, "train": replace(train, labels=labels)})

    def fingerprint(self) -> str:
        """Returns a sha256 of the rows used in all splits; it does not depend on where they came from."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for split, tokens in sorted(self.tokens.items()):
            digest.update(split.encode() + tokens.digest(self.used[split]))
        return digest.hexdigest()
