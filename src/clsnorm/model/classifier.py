"""`Classifier`: encoder, normalizer, dropout and a head."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clsnorm.batches import Batch
from clsnorm.distributed import gather_objects
from clsnorm.errors import require_choice, require_nonnegative, require_probability, require_switch
from clsnorm.losses import Loss
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.model.head import fold_into, match_function
from clsnorm.model.head_matching import HeadMatching, rename_rate, whole_steps
from clsnorm.model.refusals import (
    refuse_two_biases,
    require_foldable,
    require_rates,
    require_recalibration,
    require_trainable,
)
from clsnorm.normalizers import Identity, Normalizer

INITS = ("drawn", "function_matched", "normalizer_folded")


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a classifier for B examples.

    Attributes:
        h: ``(B, d)``: [CLS] embeddings before the normalizer.
        z: ``(B, d)``: after it.
        logits: ``(B, C)``: scores of the classes, or one value in regression.
    """

    h: Tensor
    z: Tensor
    logits: Tensor


class Classifier(nn.Module):
    r"""``logits = head(dropout(normalizer(encoder(batch))))``, by default with a linear head ``W z + b``.

    The head's weights are drawn from :math:`N(0, \text{init\_std}^2)`, its bias is zero (BERT, Devlin et al., 2019).
    They have their own random generator: every normalizer starts from the same head, and the global random state is
    unchanged.

    Args:
        encoder: Computes [CLS] embeddings of size ``encoder.dim``.
        normalizer: Maps ``(B, d)`` to ``(B, d)``.
        num_outputs: Classes, or 1 for regression.
        seed_init: Seed of the head's first weights.
        head: Creates the head from the sizes ``(d, C)``: a ``torch.nn.Linear``, or another module with a ``weight``
            ``(C, d)`` and a ``bias`` ``(C,)`` or None, such as `clsnorm.model.CosineHead`.
        dropout: Probability of dropout between normalizer and head.
        init_std: Standard deviation of the head's first weights.
        init: ``drawn``: as above. ``function_matched``: `match` then changes the head so that the first logits are
            those of the identity with the drawn head. ``normalizer_folded``: `match` folds the normalizer into the
            drawn head, so that the first logits are those of ``drawn``, but training has no normalizer.
        match_step: ``total``, ``specific`` or ``both``: `match` scales the head's learning rates so that this part of
            its first step is as large as with the identity. ``none``: they are not scaled.
        match_noise: Whether `match` sets the probability of dropout so that noise over signal on the logits is that of
            the identity at ``dropout``. None: only with ``function_matched``.
        absorb_mean: Whether `clsnorm.model.head.absorb_mean` subtracts ``W mean(z)`` from the bias before training.
        bias_rate: Factor of the learning rate of the head's bias. The common part of the logits, ``W mean(z)``, then
            moves with a rate of its own: centring without a normalizer.
        normalizer_rate: Factor of the learning rate of the normalizer's parameters.
        recalibrate_every: A calibrated normalizer is recalibrated every so many epochs, as the encoder moves; None:
            never.

    Attributes:
        num_outputs: As given.
        normalizer: As given; the identity with ``normalizer_folded``.
        start: With ``normalizer_folded``, the given normalizer; else None.
        matching: What the head shares with the identity's, and its measurements.

    Raises:
        InputError: If an option is out of range, or a factor belongs to parameters that do not exist.
    """

    def __init__(
        self,
        encoder: Encoder,
        normalizer: Normalizer,
        *,
        num_outputs: int,
        seed_init: int,
        head: Callable[[int, int], nn.Module] = nn.Linear,
        dropout: float = 0.1,
        init_std: float = 0.02,
        init: str = "drawn",
        match_step: str = "none",
        match_noise: bool | None = None,
        absorb_mean: bool = False,
        bias_rate: float = 1.0,
        normalizer_rate: float = 1.0,
        recalibrate_every: int | None = None,
    ) -> None:
        super().__init__()
        require_probability("classifier.dropout", dropout, advice="Set classifier.dropout=0.1")
        require_nonnegative("classifier.init_std", init_std, advice="Set classifier.init_std=0.02")
        require_choice("classifier.init", init, INITS)
        require_switch("classifier.match_noise", match_noise, or_null=True, advice="Set classifier.match_noise=null")
        match_noise = init == "function_matched" if match_noise is None else match_noise
        require_trainable(normalizer, is_frozen=encoder.is_frozen)
        require_recalibration(recalibrate_every, normalizer, init, is_frozen=encoder.is_frozen)
        self.init = init
        self.num_outputs = num_outputs
        self.recalibrate_every = recalibrate_every
        self.encoder = encoder
        normalizer.take_encoder_norm(encoder.final_norm())
        self.start = require_foldable(normalizer) if init == "normalizer_folded" else None
        self.normalizer = normalizer if self.start is None else Identity(encoder.dim)
        self.dropout = nn.Dropout(dropout)
        self.head = _drawn(lambda: head(encoder.dim, num_outputs), init_std, seed_init)
        self.matching = HeadMatching(encoder.dim, match_step=match_step, match_noise=match_noise, dropout=dropout)
        self.register_load_state_dict_pre_hook(rename_rate)
        require_switch("classifier.absorb_mean", absorb_mean, advice="Set classifier.absorb_mean=true")
        refuse_two_biases(init, absorb_mean=absorb_mean)
        self.absorbs_mean = absorb_mean
        self.bias_rate, self.normalizer_rate = bias_rate, normalizer_rate
        require_rates(self.head, normalizer, bias_rate=bias_rate, normalizer_rate=normalizer_rate)
        self.matching.check(self.head, self._own_rates())

    @property
    def calibrated(self) -> Normalizer:
        """The normalizer that calibration fits: `start` if there is one, else `normalizer`."""
        return self.normalizer if self.start is None else self.start

    def forward(self, batch: Batch) -> Output:
        """Returns logits and the embeddings on both sides of the normalizer."""
        h: Tensor = self.encoder(batch).cls
        z = self.normalizer(h)
        return Output(h, z, self.head(self.dropout(z)))

    def match(
        self,
        batches: Sequence[tuple[Tensor, Tensor]],
        *,
        optimizer: Callable[..., Optimizer],
        loss: Loss,
        batches_per_step: int = 1,
    ) -> None:
        """Sets up the head as its `HeadMatching` says, and measures it. Collective.

        Call it once, before training, with a calibrated normalizer. A batch normalizer is measured in the state after
        its warm-up. All processes compute the same numbers, from the embeddings of all.

        Args:
            batches: Embeddings ``(n, d)`` and labels ``(n,)`` of some training batches, those of this process.
            optimizer: Called with parameter groups; its first step is measured.
            loss: Of each example.
            batches_per_step: Batches whose gradients are accumulated.

        Raises:
            InputError: The head or the normalizer does not allow what is to be matched.
        """
        own = [(self.normalizer.original(h).cpu(), self._settled(h).cpu(), labels.cpu()) for h, labels in batches]
        whole = whole_steps(gather_objects(own), batches_per_step)
        before, after = ([(step[side].double(), step[2]) for step in whole] for side in (0, 1))
        of_identity: Any = copy.deepcopy(self.head)  # as drawn: a bias of zero, also if it has absorbed the mean
        if of_identity.bias is not None:
            nn.init.zeros_(of_identity.bias)
        self._start_head()
        options: dict[str, Any] = {"optimizer": optimizer, "loss": loss, "rates": self._own_rates()}
        self.matching.fit((of_identity, before), (self.head, after), **options)

    def _start_head(self) -> None:
        """Changes the drawn head as ``init`` says."""
        if self.init == "function_matched":
            match_function(self.head, self.normalizer)
        elif self.start is not None:
            fold_into(self.head, self.start)

    def rates(self) -> dict[str, float]:
        """Returns the factor of the learning rate of each parameter of head and normalizer, by its name."""
        own = self._own_rates()
        of_head = {name: rate * own.get(name, 1.0) for name, rate in self.matching.factors(self.head).items()}
        of_normalizer = {f"normalizer.{name}": self.normalizer_rate for name, _ in self.normalizer.named_parameters()}
        return of_head | of_normalizer

    def _own_rates(self) -> dict[str, float]:
        return {"head.bias": self.bias_rate}

    def start_training(self) -> None:
        """Takes the matched probability of dropout. Call it after `match`, or after loading a state."""
        if self.matching.match_noise:  # otherwise it is as given, in double precision
            self.dropout.p = float(self.matching.dropout)

    @torch.no_grad()
    def _settled(self, h: Tensor) -> Tensor:
        """Returns the normalized ``h`` as in training after the normalizer's warm-up."""
        normalizer = copy.deepcopy(self.normalizer).train()  # a copy, as this must not change the running statistics
        normalizer.settle(h)
        z: Tensor = normalizer(h)
        return z

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Sets eval mode, without gradients, in a ``with`` block; then each module returns to its previous mode."""
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


def _drawn(make_head: Callable[[], nn.Module], std: float, seed: int) -> nn.Module:
    """Returns a head with weights drawn by their own generator and a zero bias; the global generator is unchanged."""
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that are overwritten
        head: Any = make_head()
    with torch.no_grad():
        head.weight.normal_(0.0, std, generator=torch.Generator().manual_seed(seed))
        if head.bias is not None:
            head.bias.zero_()
    made: nn.Module = head
    return made
