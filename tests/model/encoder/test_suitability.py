"""Which models are refused because they have no [CLS] that depends on the text, and which are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, T5Config, T5EncoderModel

from clsnorm.errors import InputError
from clsnorm.model.encoder import encoder as encoder_module
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.model.encoder.suitability import require_encoder, require_text_in_cls

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
PLAIN = SIZES | {"vocab_size": 60, "max_position_embeddings": 40, "pad_token_id": 1}
GPT = {"vocab_size": 60, "n_embd": 24, "n_layer": 2, "n_head": 2, "n_positions": 40}
T5 = {"vocab_size": 60, "d_model": 24, "d_kv": 12, "d_ff": 40, "num_layers": 2, "num_heads": 2}
PART = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}


def architecture(family: str, settings: dict[str, Any]) -> Any:
    return AutoConfig.for_model(family, **settings)


def saved(folder: Path, family: str, settings: dict[str, Any]) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(architecture(family, settings)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("gpt2", GPT, r"\(gpt2\) is a model with causal attention"),
        ("llama", PLAIN, r"\(llama\) is a model with causal attention"),
        ("t5", T5, r"\(t5\) is an encoder-decoder"),
        ("bart", {"vocab_size": 60, "d_model": 24, **PART, **HEADS}, r"\(bart\) is an encoder-decoder"),
        ("bert", PLAIN | {"is_decoder": True}, r"\(bert\) is a decoder \(config.json: is_decoder\)"),
        ("roberta", PLAIN | {"is_decoder": True}, r"\(roberta\) is a decoder"),
        ("clip", {"text_config": SIZES, "vision_config": SIZES}, r"\(clip\) is no encoder of texts: .* no hidden_size"),
    ],
)
def test_other_models_are_refused_before_their_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, settings: dict[str, Any], message: str
) -> None:
    architecture(family, settings).save_pretrained(tmp_path)
    monkeypatch.setattr(encoder_module, "load_model", None)
    with pytest.raises(InputError, match=f"`model.path` to be an encoder .*{message}") as caught:
        Encoder(str(tmp_path), attention="eager")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [  # these do not declare what they are
        ("openai-gpt", GPT, "has the same [CLS] whatever text follows"),
        ("bloom", {"vocab_size": 60, "hidden_size": 24, "n_layer": 2, "n_head": 2}, "has the same [CLS] whatever"),
        ("mamba", {"vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 1, "state_size": 4}, "has the same [CLS]"),
        ("dpr", PLAIN, "cannot encode a text of a few tokens: 'DPRQuestionEncoderOutput' object has no"),
        ("vit", SIZES, "cannot encode a text of a few tokens: "),
    ],
)
def test_other_models_are_found_by_what_they_compute(
    tmp_path: Path, family: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Encoder(saved(tmp_path, family, settings), attention="eager")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_encoder_of_a_t5_alone_is_refused(tmp_path: Path) -> None:
    T5EncoderModel(T5Config(**T5)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"`model\.path` to be an encoder with"):
        Encoder(str(tmp_path), attention="eager")


@pytest.mark.parametrize(
    ("family", "settings", "longest"),
    [
        ("camembert", PLAIN, 38),
        ("convbert", PLAIN | {"embedding_size": 24}, 40),
        ("longformer", PLAIN | {"attention_window": 8}, 38),
        ("roformer", PLAIN, 40),
        ("bert-generation", PLAIN, 40),
        ("xlnet", {"vocab_size": 60, "d_model": 24, "n_layer": 2, "n_head": 2, "d_inner": 40}, None),
    ],
)
def test_unlisted_encoders_are_taken(
    tmp_path: Path, family: str, settings: dict[str, Any], longest: int | None
) -> None:
    path = saved(tmp_path, family, settings)
    state = torch.random.get_rng_state()
    assert Encoder(path, attention="eager").max_length == longest
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_text_of_the_model_s_few_positions_is_enough(tmp_path: Path) -> None:
    assert Encoder(saved(tmp_path, "bert", PLAIN | {"max_position_embeddings": 3})).max_length == 3


def test_the_size_of_the_embedding_must_be_the_stated_one(tmp_path: Path) -> None:
    encoder = Encoder(saved(tmp_path, "bert", PLAIN)).eval()
    require_text_in_cls("folder", encoder, dim=24)
    with pytest.raises(InputError, match=r"'folder' \(bert\) returns \(24,\) values .* says 25"):
        require_text_in_cls("folder", encoder, dim=25)
    for parameter in encoder.parameters():  # each token is mapped to the same vector
        parameter.data.zero_()
    with pytest.raises(InputError, match=r"the same .* whatever text follows"):
        require_text_in_cls("folder", encoder, dim=24)


def test_an_encoder_s_architecture_is_taken() -> None:
    for family in ("bert", "modernbert", "deberta-v2", "camembert"):
        require_encoder("folder", architecture(family, SIZES))


def test_attention_from_the_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`model.attention` to be .* but got 'somebody/kernel'"):
        Encoder(saved(tmp_path, "bert", PLAIN), attention="somebody/kernel")


@pytest.mark.parametrize(
    ("family", "settings", "warned"),
    [
        ("fnet", SIZES | {"vocab_size": 60, "pad_token_id": 1}, True),
        ("convbert", PLAIN | {"embedding_size": 24}, True),
        ("camembert", PLAIN, False),
        ("longformer", PLAIN | {"attention_window": 8}, False),
        ("xlnet", {"vocab_size": 60, "d_model": 24, "n_layer": 2, "n_head": 2, "d_inner": 40}, False),
    ],
)
def test_an_embedding_that_depends_on_padding_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, family: str, settings: dict[str, Any], warned: bool
) -> None:
    Encoder(saved(tmp_path, family, settings), attention="eager")
    assert (f"({family}) depends on the padding" in caplog.text) == warned
