"""`Prepared`: the tokens of all splits, with label noise and a fingerprint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clsnorm.data.rows.subsets import LabelNoise
from clsnorm.data.tokens.prepared import Prepared
from clsnorm.data.tokens.tokenization import Tokens


def tokens(rows: int) -> Tokens:
    """``rows`` rows of one token; labels 0 and 1 alternate."""
    numbers = np.arange(rows)
    ids, segments = numbers.astype(np.int32), np.zeros(rows, np.uint8)
    return Tokens(ids, segments, np.arange(rows + 1), np.zeros(rows, bool), numbers % 2, numbers)


def prepared(rows: int = 40) -> Prepared:
    used = {"train": np.arange(0, rows, 2), "report": np.arange(4)}
    return Prepared({"train": tokens(rows), "report": tokens(4)}, used, ["a", "b", "c"], {}, "content")


def test_noise_changes_only_labels_of_used_rows_of_train() -> None:
    clean = prepared()
    assert clean.with_noise(LabelNoise(0.0, 0), untrained=[]) is clean
    noisy = clean.with_noise(LabelNoise(0.5, 0), untrained=["c"])
    changed = np.flatnonzero(noisy.tokens["train"].labels != clean.tokens["train"].labels)
    assert len(changed) == 10  # half of the 20 rows that are used
    assert set(changed.tolist()) <= set(clean.used["train"].tolist())
    assert set(noisy.tokens["train"].labels.tolist()) == {0, 1}  # c has no row and need not be learned
    assert noisy.tokens["report"] is clean.tokens["report"]
    assert noisy.fingerprint() != clean.fingerprint()


def test_the_fingerprint_equals_that_of_the_used_rows() -> None:
    base = prepared()
    assert prepared(rows=60).fingerprint() != base.fingerprint()
    longer = replace(base, tokens={**base.tokens, "train": tokens(60)})  # more rows, but the same ones are used
    assert longer.fingerprint() == base.fingerprint()
    assert replace(base, content="elsewhere", record={"a": 1}).fingerprint() == base.fingerprint()
    assert replace(base, labels=["a", "b", "d"]).fingerprint() != base.fingerprint()
