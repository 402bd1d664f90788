"""`TokenDataset` and `BatchLoader`: from rows of tokens to batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clsnorm.data import GlobalBatches, Part
from clsnorm.data.tokens.loader import BatchLoader, TokenDataset
from clsnorm.data.tokens.tokenization import Tokens


@pytest.fixture
def tokens() -> Tokens:
    """Four rows of 1, 3, 2 and 4 tokens."""
    offsets = np.array([0, 1, 4, 6, 10])
    return Tokens(
        token_ids=np.arange(100, 110, dtype=np.int32),
        segment_ids=np.array([0, 0, 0, 1, 0, 1, 0, 0, 1, 1], np.uint8),
        offsets=offsets,
        truncated=np.zeros(4, bool),
        labels=np.array([0, 1, 0, 1]),
        example_ids=np.array([7, 5, 3, 1]),
    )


def test_a_packed_batch_is_one_row(tokens: Tokens) -> None:
    batch = TokenDataset(tokens, packed=True, padding=0).__getitems__(Part(np.array([1, 2]), 4))
    assert batch.token_ids.tolist() == [[101, 102, 103, 104, 105]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.segment_ids.tolist() == [[0, 0, 1, 0, 1]]
    assert (batch.lengths.tolist(), batch.labels.tolist(), batch.example_ids.tolist()) == ([3, 2], [1, 0], [5, 3])
    assert (batch.global_size, batch.packed) == (4, True)


def test_a_padded_batch_is_filled_up(tokens: Tokens) -> None:
    batch = TokenDataset(tokens, rows=np.array([3, 0]), packed=False, padding=9).__getitems__(Part(np.arange(2), 2))
    assert batch.token_ids.tolist() == [[106, 107, 108, 109], [100, 9, 9, 9]]
    assert batch.example_ids.tolist() == [1, 7]


def test_a_loader_yields_parts_and_has_no_state(tokens: Tokens) -> None:
    dataset = TokenDataset(tokens, packed=True, padding=0)
    assert len(dataset) == 4
    assert dataset[2].example_ids.tolist() == [3]
    batches = GlobalBatches(4, batch_size=3)
    loader: Any = BatchLoader(dataset, batches)
    assert [batch.example_ids.tolist() for batch in loader] == [[7, 5, 3], [1]]
    assert loader.state_dict() == {}  # Lightning would replay the epoch without this method
    batches.resume_at(0, 1)
    loader.load_state_dict({})
    assert [batch.example_ids.tolist() for batch in loader] == [[1]]
