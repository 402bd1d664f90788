"""Grouped attention against torch's, one sequence at a time, with the masks that it draws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clsnorm.model.encoder import attention
from clsnorm.model.encoder.attention import MOST_GROUPS, Group, Groups, attend

HEADS, SIZE = 3, 4
LENGTHS = [[1], [5], [4, 4, 4], [3, 9, 1, 9, 2, 30, 7, 12, 5], [50] * 4 + [2] * 20]
Masks = list[Tensor]


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> Masks:
    """The masks that are drawn."""
    drawn: Masks = []

    def draw(*arguments: Any) -> Tensor:
        drawn.append(original(*arguments))
        return drawn[-1]

    original = attention.scaled_mask
    monkeypatch.setattr(attention, "scaled_mask", draw)
    return drawn


def reference(rows: list[Tensor], groups: Groups, masks: Masks, lengths: list[int], scaling: float) -> Tensor:
    """Attention of each sequence alone, ``(N, heads, size)``, with its part of the masks."""
    ends = torch.tensor(lengths).cumsum(0).tolist()
    outputs: dict[int, Tensor] = {}
    for group, mask in zip(groups.groups, masks, strict=True):
        count, heads, tokens = group.shape
        first = group.source.view(count, heads, tokens)[:, 0, 0] // heads
        for row, start in zip(mask.view(count, heads, tokens, tokens), first.tolist(), strict=True):
            number = ends.index(next(end for end in ends if end > start))
            q, k, v = (each[start : ends[number]].transpose(0, 1) for each in rows)
            kept = row[:, : lengths[number], : lengths[number]]
            outputs[number] = ((scaling * q @ k.mT).softmax(-1) * kept) @ v
    return torch.cat([outputs[number].transpose(0, 1) for number in range(len(lengths))])


@pytest.mark.parametrize("lengths", LENGTHS)
def test_outputs_and_gradients_are_those_of_each_sequence_alone(lengths: list[int], masks: Masks) -> None:
    torch.manual_seed(0)
    rows = [torch.randn(sum(lengths), HEADS, SIZE, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    groups, weights = Groups.of(torch.tensor(lengths), HEADS), torch.randn(sum(lengths), HEADS, SIZE)
    out = attend(tuple(rows), groups, scaling=0.7, dropout=0.4)
    expected = reference(rows, groups, masks, lengths, 0.7)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad((out * weights).sum(), rows)
    for one, other in zip(found, torch.autograd.grad((expected * weights).sum(), rows), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_without_dropout_outputs_are_those_of_each_sequence_alone(lengths: list[int]) -> None:
    torch.manual_seed(0)
    rows = tuple(torch.randn(sum(lengths), HEADS, SIZE) for _ in range(3))
    found = attend(rows, Groups.of(torch.tensor(lengths), HEADS), scaling=0.7, dropout=0.0)
    parts = [[part.transpose(0, 1) for part in each.split(lengths)] for each in rows]
    expected = [F.scaled_dot_product_attention(q, k, v, scale=0.7) for q, k, v in zip(*parts, strict=True)]
    torch.testing.assert_close(found, torch.cat([each.transpose(0, 1) for each in expected]))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_groups_hold_each_token_once(lengths: list[int]) -> None:
    groups = Groups.of(torch.tensor(lengths), HEADS)
    rows = torch.arange(sum(lengths) * HEADS, dtype=torch.float64)[:, None]
    gathered = torch.cat([group.gather(rows).flatten() for group in groups.groups])[:, None]
    assert torch.equal(groups.scatter(gathered), rows)
    assert groups.back.unique().numel() == rows.numel()
    starts = {end - length for end, length in zip(torch.tensor(lengths).cumsum(0).tolist(), lengths, strict=True)}
    for group in groups.groups:  # padding repeats the first token of its own sequence
        source = group.source.view(group.shape) // HEADS
        padding = torch.zeros(source[:, 0].shape, dtype=torch.bool) if group.padding is None else group.padding
        first = source[:, :, :1].expand_as(source)
        assert set(first.unique().tolist()) <= starts
        assert torch.equal((source == first)[:, 0, 1:], padding[:, 1:])


def test_texts_of_one_length_form_one_group_and_others_several() -> None:
    assert len(Groups.of(torch.tensor([20] * 32), 12).groups) == 1
    found = Groups.of(torch.tensor([10] * 16 + [60] * 16), 12).groups
    assert 1 < len(found) <= MOST_GROUPS
    longest = [group.shape[2] for group in found]
    assert all(a <= b for a, b in pairwise(longest))
    assert longest[0] == 10


def test_a_group_gathers_the_rows_of_its_heads() -> None:
    group = Group((1, 2, 3), torch.tensor([0, 2, 4, 1, 3, 5]), None, None)  # one text of three tokens, two heads
    rows = torch.arange(12.0).view(6, 2)
    assert torch.equal(group.gather(rows), rows.view(3, 2, 2).transpose(0, 1))


def test_a_sequence_that_is_not_finite_does_not_change_others() -> None:
    lengths = torch.tensor([4, 9, 5])
    rows = [torch.randn(18, HEADS, SIZE) for _ in range(3)]
    torch.manual_seed(1)
    expected = attend(tuple(rows), Groups.of(lengths, HEADS), scaling=1.0, dropout=0.1)
    for each in rows:
        each[:4] = torch.nan
    torch.manual_seed(1)
    found = attend(tuple(rows), Groups.of(lengths, HEADS), scaling=1.0, dropout=0.1)
    assert torch.equal(found[4:], expected[4:])
    assert found[:4].isnan().all()


def test_the_mean_over_masks_is_attention_without_dropout() -> None:
    torch.manual_seed(0)
    rows, groups = [torch.randn(12, HEADS, SIZE) for _ in range(3)], Groups.of(torch.tensor([12]), HEADS)
    mean = torch.stack([attend(tuple(rows), groups, scaling=0.5, dropout=0.2) for _ in range(4000)]).mean(0)
    q, k, v = (each.transpose(0, 1) for each in rows)
    expected = F.scaled_dot_product_attention(q, k, v, scale=0.5).transpose(0, 1)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.05)
