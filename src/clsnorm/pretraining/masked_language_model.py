"""`MaskedLanguageModel`: predicts hidden tokens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from clsnorm.batches import Batch
from clsnorm.errors import InputError
from clsnorm.model.encoder.checkpoint import load_architecture, load_weights
from clsnorm.model.encoder.weights import locate
from clsnorm.optim import AdamW, Linear
from clsnorm.optim.groups import parameter_groups
from clsnorm.pretraining.masking import mask_tokens
from clsnorm.pretraining.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)
HEADS = ("cls", "lm_head", "predictions", "generator_lm_head")  # transformers' names of the part after the encoder


class MaskedLanguageModel(pl.LightningModule):
    """An encoder with a head that predicts hidden tokens, trained by a `Recipe`.

    The loss is the mean cross-entropy over the hidden tokens of a batch. The head is computed at these only: with a
    vocabulary of 30,522 it would otherwise cost as much as the encoder.

    Args:
        path: As in `clsnorm.model.encoder.weights.locate`.
        tokenizer: That of the model; it needs a [MASK].
        recipe: Learning rate, masks, seed.
        sha256: Expected digest of the weights; None: not checked.

    Raises:
        InputError: If the model cannot be loaded, or has no masked-language-model head in transformers.
    """

    def __init__(
        self, path: str, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, *, sha256: str | None = None
    ) -> None:
        super().__init__()
        if tokenizer.mask_token_id is None:
            raise InputError(f"Expected the tokenizer of {path!r} to have a [MASK] token, but it has none")
        self.recipe = recipe
        self.model = _load(path, locate(path, sha256), seed=recipe.seed)
        self.tokenizer = tokenizer
        special = set(tokenizer.all_special_ids)
        self.words = torch.tensor([number for number in range(len(tokenizer)) if number not in special])
        self.special = torch.tensor(sorted(special))
        self._fields = {"token_type_ids"} if "token_type_ids" in tokenizer.model_input_names else set()

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns the logits ``(N, V)`` at the N hidden tokens of a padded batch, and the tokens, int64 ``(N,)``."""
        hidden, chosen = mask_tokens(
            batch.token_ids,
            batch.mask & ~torch.isin(batch.token_ids, self.special),
            share=self.recipe.masked,
            mask_id=self.tokenizer.mask_token_id,
            words=self.words,
            generator=generator,
        )
        given = {"input_ids": hidden, "attention_mask": batch.mask.long()}
        if self._fields:
            given["token_type_ids"] = batch.segment_ids
        states = self.model.base_model(**given).last_hidden_state
        return _head(self.model)(states[chosen]), batch.token_ids[chosen]

    def training_step(self, batch: Batch, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.global_step)
        logits, tokens = self(batch, generator)
        loss = functional.cross_entropy(logits, tokens, reduction="sum") / max(len(tokens), 1)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.model)
        optimizer = AdamW(groups, lr=self.recipe.lr, weight_decay=self.recipe.weight_decay)
        schedule = Linear(optimizer, num_training_steps=self.recipe.steps, warmup_ratio=self.recipe.warmup_ratio)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def measure(self, batches: Any) -> dict[str, float]:
        """Returns ``loss`` (mean, in nats) and ``accuracy`` at hidden tokens, with the same masks at each call."""
        was_training = self.training
        self.eval()
        generator = torch.Generator().manual_seed(self.recipe.seed)
        loss, right, count = 0.0, 0, 0
        for batch in batches:
            logits, tokens = self(batch, generator)
            loss += functional.cross_entropy(logits, tokens, reduction="sum").item()
            right += int((logits.argmax(-1) == tokens).sum())
            count += len(tokens)
        self.train(was_training)
        return {"loss": loss / max(count, 1), "accuracy": right / max(count, 1)}


def _load(path: str, location: str, *, seed: int) -> Any:
    from transformers import AutoModelForMaskedLM

    architecture = load_architecture(path, location)
    if type(architecture) not in AutoModelForMaskedLM._model_mapping:
        raise InputError(
            f"Expected a model with a head for masked words in transformers, but {path!r} is a "
            f"{architecture.model_type}. Choose another one with --model"
        )
    model, _ = load_weights(AutoModelForMaskedLM, path, location, architecture, attention="sdpa", seed=seed)
    _head(model)
    return model


def _head(model: Any) -> nn.Module:
    """Returns the part after the encoder."""
    for name in HEADS:
        if isinstance(head := getattr(model, name, None), nn.Module):
            return head
    raise InputError(
        f"Expected a head named {', '.join(HEADS)} after the encoder, but a {type(model).__name__} has none of them"
    )
