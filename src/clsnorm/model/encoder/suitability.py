"""Which models have a [CLS] to measure: encoders whose first token depends on the whole text."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from clsnorm import distributed
from clsnorm.batches import Batch
from clsnorm.errors import InputError, is_whole
from clsnorm.model.encoder.families import is_listed
from clsnorm.model.encoder.packing import IMPLEMENTATION
from clsnorm.model.encoder.weights import first_sentence

ADVICE = "Choose an encoder that begins with [CLS], such as BERT, RoBERTa or DeBERTa"
SHAPED = ("token_ids", "positions", "segment_ids")  # of a batch
TRIED = 4  # texts that are compared
LENGTH = 8  # tokens of each
ROUNDING = 1e-4  # a larger relative change of [CLS] is not a rounding error

log = logging.getLogger(__name__)


def require_encoder(path: str, architecture: Any) -> None:
    """Raises InputError if an architecture is not an encoder of texts; needs no weights.

    Encoder-decoders, decoders, causal models and models of other inputs are refused.

    Args:
        path: As the user gave it, for messages.
        architecture: transformers' config of the model.
    """
    if getattr(architecture, "is_encoder_decoder", False):
        found = "an encoder-decoder, whose output belongs to the decoder's tokens"
    elif getattr(architecture, "is_decoder", False):
        found = "a decoder (config.json: is_decoder), whose first token does not see the text after it"
    elif not is_whole(getattr(architecture, "hidden_size", None)):
        found = "no encoder of texts: its config.json has no hidden_size"
    elif not is_listed(architecture) and _is_causal(architecture):
        found = "a model with causal attention, whose first token does not see the text after it"
    else:
        return
    raise InputError(
        f"Expected argument `model.path` to be an encoder with [CLS], but {path!r} ({architecture.model_type}) is "
        f"{found}. {ADVICE}"
    )


def _is_causal(architecture: Any) -> bool:
    """Returns whether an attention layer of the model says that it is causal."""
    from transformers import AutoModel

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # modules without values: nothing is computed
            model = AutoModel.from_config(copy.deepcopy(architecture), trust_remote_code=False)
    except Exception:  # loading the weights reports the fault
        return False
    return any(getattr(module, "is_causal", False) is True for module in model.modules())


@torch.no_grad()
def require_text_in_cls(path: str, encoder: Any, *, dim: int) -> None:
    """Raises InputError unless [CLS] is a vector of size ``dim`` that depends on the tokens after it.

    Causal attention is found by what it does, however a family implements it: with it, the first token's embedding is
    the same to the bit whatever follows.

    Args:
        path: As the user gave it, for messages.
        encoder: `clsnorm.model.encoder.encoder.Encoder` in evaluation mode, on the CPU.
        dim: Size of its embeddings.
    """
    model: Any = encoder.model
    kind = model.config.model_type
    try:
        with torch.random.fork_rng(devices=[]), _attention_for_cpu(model):
            embeddings = [encoder(batch).hidden for batch in _texts(model, encoder.max_length or LENGTH)]
    except Exception as error:  # a model of another kind may raise anything
        raise InputError(
            f"Expected argument `model.path` to be an encoder with [CLS], but {path!r} ({kind}) cannot encode a text "
            f"of a few tokens: {first_sentence(error)}. {ADVICE}"
        ) from error
    if embeddings[0].shape != (1, dim):
        found = f"returns {tuple(embeddings[0].shape[1:])} values for [CLS] where config.json says {dim}"
    elif all(torch.equal(embeddings[0], other) for other in embeddings[1:]):
        found = "has the same [CLS] whatever text follows, as in a causal model"
    else:
        return
    raise InputError(
        f"Expected argument `model.path` to be an encoder with [CLS], but {path!r} ({kind}) {found}. {ADVICE}"
    )


@torch.no_grad()
def warn_of_padding(path: str, encoder: Any) -> None:
    """Logs a warning if [CLS] depends on the padding of its batch, and so on its neighbours and on the batch size.

    In FNet and Funnel padding takes part in the computation. Listed families are tested not to need this.

    Args:
        path: As the user gave it, for messages.
        encoder: As in `require_text_in_cls`, which it has passed.
    """
    model: Any = encoder.model
    if is_listed(model.config) or distributed.rank() != 0:
        return
    text = next(_texts(model, encoder.max_length or LENGTH))
    short = len(text.token_ids[0]) // 2
    alone = replace(text, **{name: getattr(text, name)[:, :short] for name in SHAPED}, lengths=text.lengths // 2)
    with_longer = replace(text, **{name: getattr(text, name).repeat(2, 1) for name in SHAPED})
    with_longer.token_ids[0, short:] = getattr(model.config, "pad_token_id", None) or 0
    with_longer = replace(with_longer, lengths=torch.tensor([short, len(text.token_ids[0])]))
    with torch.random.fork_rng(devices=[]), _attention_for_cpu(model), contextlib.suppress(Exception):  # only advice
        wanted, found = encoder(alone).hidden[0], encoder(with_longer).hidden[0]
        change = float((found - wanted).norm() / wanted.norm())
        if change > ROUNDING:
            log.warning(
                "[CLS] of %s (%s) depends on the padding of its batch: it changed by %.2g %% next to a text twice as "
                "long. Results then depend on data.batch_size and on the number of devices",
                path,
                model.config.model_type,
                100 * change,
            )


def _texts(model: Any, longest: int) -> Iterator[Batch]:
    """Yields texts that begin with the same token and differ in all others."""
    padding, count = getattr(model.config, "pad_token_id", None), min(LENGTH, longest)
    ids = [number for number in range(model.get_input_embeddings().num_embeddings) if number != padding]
    places, one = torch.arange(count)[None], torch.ones(1, dtype=torch.int64)
    for other in ids[1 :: max(1, len(ids) // TRIED)]:
        token_ids = torch.tensor([[ids[0]] + [other] * (count - 1)])
        yield Batch(token_ids, places, torch.zeros_like(places), count * one, 0 * one, 0 * one, global_size=1)


@contextlib.contextmanager
def _attention_for_cpu(model: Any) -> Iterator[None]:
    """Uses eager attention in a ``with`` block if the model's own, such as FlashAttention, needs a GPU."""
    own = model.config._attn_implementation
    if own in ("sdpa", "eager", IMPLEMENTATION):
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(own)
