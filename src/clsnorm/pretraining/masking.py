"""BERT's masking of tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_tokens(
    token_ids: Tensor, maskable: Tensor, *, share: float, mask_id: int, words: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hides tokens as in BERT (Devlin et al., 2019, appendix A.1).

    Each maskable token is chosen with probability ``share``. Of the chosen ones, 80 % become [MASK], 10 % a random
    word, and 10 % are unchanged; all of them are to be predicted.

    Args:
        token_ids: int64 ``(B, T)``.
        maskable: bool ``(B, T)``: false at special tokens and padding.
        share: Probability that a token is chosen.
        mask_id: Id of [MASK].
        words: int64 ``(V,)``: ids from which random words are drawn, without special tokens.
        generator: The source of randomness, on the CPU.

    Returns:
        The ids with hidden tokens, ``(B, T)``, and which were chosen, bool ``(B, T)``.
    """
    chosen = maskable & (torch.rand(token_ids.shape, generator=generator) < share)
    fate = torch.rand(token_ids.shape, generator=generator)
    random_words = words[torch.randint(len(words), token_ids.shape, generator=generator)]
    hidden = torch.where(chosen & (fate < 0.8), mask_id, token_ids)
    return torch.where(chosen & (fate >= 0.9), random_words, hidden), chosen
