from __future__ import annotations

import torch

from clsnorm.pretraining.masking import mask_tokens

MASK, WORDS = 4, torch.arange(10, 1000)


def masked(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.randint(10, 1000, (400, 50), generator=torch.Generator().manual_seed(1))
    maskable = torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) < 0.8
    generator = torch.Generator().manual_seed(seed)
    hidden, chosen = mask_tokens(ids, maskable, share=0.15, mask_id=MASK, words=WORDS, generator=generator)
    return ids, maskable, hidden, chosen


def test_shares_are_those_of_bert() -> None:
    ids, maskable, hidden, chosen = masked()
    count = chosen.sum().item()  # about 2,400: three standard errors of a share are below 0.025
    assert abs(count / maskable.sum().item() - 0.15) < 0.01
    assert abs((hidden[chosen] == MASK).sum().item() / count - 0.8) < 0.025
    assert abs((hidden[chosen] == ids[chosen]).sum().item() / count - 0.1) < 0.025


def test_only_chosen_tokens_change_and_only_maskable_ones_are_chosen() -> None:
    ids, maskable, hidden, chosen = masked()
    assert not (chosen & ~maskable).any()
    assert torch.equal(hidden[~chosen], ids[~chosen])
    assert torch.isin(hidden[chosen], torch.cat([WORDS, torch.tensor([MASK])])).all()


def test_masks_depend_on_the_generator_alone() -> None:
    assert torch.equal(masked(3)[2], masked(3)[2])
    assert not torch.equal(masked(3)[2], masked(4)[2])
