"""`Classifier`: encoder, normalizer, dropout and a linear layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clsnorm.batches import Batch
from clsnorm.errors import InputError
from clsnorm.model.encoder import Encoder
from clsnorm.normalizers import Normalizer


@dataclass(frozen=True, slots=True)
class Output:
    """What a classifier gives for B examples.

    Attributes:
        h: ``(B, d)``: [CLS] embeddings before the normalizer.
        z: ``(B, d)``: after it.
        logits: ``(B, C)``: scores of the classes, or one value in regression.
    """

    h: Tensor
    z: Tensor
    logits: Tensor


class Classifier(nn.Module):
    r"""``logits = W dropout(normalizer(encoder(batch))) + b``.

    The head is drawn from :math:`N(0, \text{init\_std}^2)`, its bias is zero (BERT's fine-tuning, Devlin et al., 2019),
    by a generator of its own: every normalizer starts from the same head, and the global random state is left alone.

    Args:
        encoder: Gives [CLS] embeddings of size ``encoder.dim``.
        normalizer: Maps ``(B, d)`` to ``(B, d)``.
        num_outputs: Classes, or 1 for regression.
        seed_init: Seed of the head's first weights.
        dropout: Probability between normalizer and linear layer.
        init_std: Standard deviation of the head's first weights.

    Raises:
        InputError: If an option is out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        normalizer: Normalizer,
        *,
        num_outputs: int,
        seed_init: int,
        dropout: float = 0.1,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"Expected argument `classifier.dropout` to be in [0, 1), but got {dropout}")
        if init_std < 0:
            raise InputError(f"Expected argument `classifier.init_std` not to be negative, but got {init_std}")
        self.encoder = encoder
        self.normalizer = normalizer
        self.dropout = nn.Dropout(dropout)
        self.head = nn.utils.skip_init(nn.Linear, encoder.dim, num_outputs)
        with torch.no_grad():
            self.head.weight.normal_(0.0, init_std, generator=torch.Generator().manual_seed(seed_init))
            self.head.bias.zero_()

    def forward(self, batch: Batch) -> Output:
        """Returns logits and the embeddings on both sides of the normalizer."""
        h = self.embed(batch)
        z = self.normalizer(h)
        return Output(h, z, self.head(self.dropout(z)))

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Is in eval mode, without gradients, for a while; then each module is back in the mode it was in."""
        training = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, mode in training.items():
                module.training = mode

    def embed(self, batch: Batch) -> Tensor:
        """Returns the [CLS] embeddings before the normalizer, ``(B, d)``."""
        embeddings: Tensor = self.encoder(batch).cls
        return embeddings
