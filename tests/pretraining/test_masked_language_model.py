from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from clsnorm.batches import Batch
from clsnorm.data.tokens.loader import TokenDataset
from clsnorm.data.tokens.sampling import Part
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError
from clsnorm.model import load_tokenizer
from clsnorm.pretraining import MaskedLanguageModel, Recipe
from clsnorm.pretraining.masking import mask_tokens

TEXTS = ["a good film", "a rather dull film with very few good parts", "fine"] * 8


def batch_of(tokenizer: Any) -> Batch:
    rows = tokenizer(TEXTS)["input_ids"]
    tokens = Tokens(
        token_ids=np.concatenate([np.array(row, np.int32) for row in rows]),
        segment_ids=np.zeros(sum(map(len, rows)), np.uint8),
        offsets=np.cumsum([0, *map(len, rows)]),
        truncated=np.zeros(len(rows), np.bool_),
        labels=np.zeros(len(rows), np.int64),
        example_ids=np.arange(len(rows)),
    )
    return TokenDataset(tokens, packed=False, padding=0).__getitems__(Part(np.arange(len(rows)), len(rows)))


@pytest.fixture
def module(tiny_bert: Path) -> MaskedLanguageModel:
    return MaskedLanguageModel(str(tiny_bert), load_tokenizer(str(tiny_bert)), Recipe(masked=0.5))


def test_logits_are_those_of_transformers_at_hidden_tokens(module: MaskedLanguageModel) -> None:
    batch = batch_of(module.tokenizer)
    module.eval()
    found, tokens = module(batch, torch.Generator().manual_seed(5))
    hidden, chosen = mask_tokens(
        batch.token_ids,
        batch.mask & ~torch.isin(batch.token_ids, module.special),
        share=0.5,
        mask_id=module.tokenizer.mask_token_id,
        words=module.words,
        generator=torch.Generator().manual_seed(5),
    )
    whole = module.model(input_ids=hidden, attention_mask=batch.mask.long(), token_type_ids=batch.segment_ids)
    torch.testing.assert_close(found, whole.logits[chosen])
    assert torch.equal(tokens, batch.token_ids[chosen])
    assert not torch.isin(tokens, module.special).any()
    labels = torch.where(chosen, batch.token_ids, -100)
    expected = functional.cross_entropy(whole.logits.flatten(0, 1), labels.flatten())
    assert module.measure([batch])["loss"] > 0
    torch.testing.assert_close(functional.cross_entropy(found, tokens), expected)


def test_measuring_twice_gives_the_same_and_keeps_the_mode(module: MaskedLanguageModel) -> None:
    batch = batch_of(module.tokenizer)
    module.train()
    assert module.measure([batch]) == module.measure([batch])
    assert module.training


def test_biases_and_norms_are_not_decayed(module: MaskedLanguageModel) -> None:
    decayed, plain = module.configure_optimizers()["optimizer"].param_groups
    assert {p.ndim for p in plain["params"]} == {1}
    assert plain["weight_decay"] == 0
    assert min(p.ndim for p in decayed["params"]) == 2
    assert len(decayed["params"]) + len(plain["params"]) == len(list(module.parameters()))


def test_a_model_without_such_a_head_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import DPRConfig, DPRContextEncoder

    DPRContextEncoder(
        DPRConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="head for masked words"):
        MaskedLanguageModel(str(tmp_path), load_tokenizer(str(tiny_bert)), Recipe())
