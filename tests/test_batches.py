"""`Batch`: the type that data and encoder share."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from clsnorm.batches import Batch


def batch(*, packed: bool) -> Batch:
    """Sequences of 2 and 3 tokens."""
    tokens = torch.arange(5)[None] if packed else torch.tensor([[0, 1, 9], [2, 3, 4]])
    lengths, ids = torch.tensor([2, 3]), torch.tensor([7, 5])
    return Batch(tokens, torch.zeros_like(tokens), torch.zeros_like(tokens), lengths, ids % 2, ids, 6, packed)


def test_starts_are_the_first_tokens_of_a_packed_row() -> None:
    assert batch(packed=True).starts.tolist() == [0, 2]
    assert len(batch(packed=True)) == 2


def test_a_padded_batch_has_a_mask_and_a_packed_one_has_none() -> None:
    assert batch(packed=False).mask.tolist() == [[True, True, False], [True, True, True]]
    with pytest.raises(ValueError, match="no mask"):
        _ = batch(packed=True).mask


def test_lengths_stay_on_the_cpu() -> None:
    moved = batch(packed=True).to("meta")
    tensors = (moved.token_ids, moved.positions, moved.segment_ids, moved.labels, moved.example_ids)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.lengths.device.type == "cpu"
    assert (moved.global_size, moved.packed) == (6, True)


def test_a_batch_is_a_whole_step_unless_it_names_the_size_of_one() -> None:
    one = batch(packed=True)
    assert one.step_size == one.global_size == 6
    assert dataclasses.replace(one, step_size=14).to("cpu").step_size == 14
