"""`Regularizer`: the base class of loss terms on embeddings, and the one that adds nothing."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError, is_number, refuse
from clsnorm.normalizers.batch_statistics import require_batch, statistics_dtype

LAYERS = "layers"  # the union of all layers
PLACES = "h, z, layers or a layer such as layer03"


class Regularizer(nn.Module, ABC):
    """Adds ``weight * term(x)`` to the mean loss of a batch, ``x`` its [CLS] embeddings at one place.

    A subclass implements `term`, which is a function of the *whole global batch*: with several processes it reduces
    sums, and every process returns the same value. A mean over examples can be split over the batches that an optimizer
    step accumulates; such a term cannot. So it is computed for each batch, and a step's term is the mean over its
    batches, weighted by their examples: with accumulation it is not that of one large batch.

    Attributes:
        min_batch_size: The smallest global batch whose term is defined.

    Args:
        weight: Factor of the term, of any sign; 0: the term is logged and not added.
        at: ``h`` or ``z``, before and after the normalizer; ``layer01``, ...: the output of a layer of the encoder;
            ``layers``: all layers but the embedding layer, joined as rows.

    Raises:
        InputError: ``weight`` is not a finite number, or ``at`` not a place.
    """

    min_batch_size: ClassVar[int] = 2

    def __init__(self, *, weight: float, at: str = "h") -> None:
        super().__init__()
        if not is_number(weight) or not abs(weight) < float("inf"):
            refuse("regularizer.weight", "a finite number", weight, "Set regularizer.weight=1")
        if at not in ("h", "z", LAYERS) and not re.fullmatch(r"layer\d\d", str(at)):
            refuse("regularizer.at", PLACES, at, "Set regularizer.at=h")
        self.weight, self.at = float(weight), at

    @property
    def is_active(self) -> bool:
        """Whether there is a term to compute."""
        return True

    @property
    def reads_layers(self) -> bool:
        """Whether the place is inside the encoder."""
        return self.is_active and self.at not in ("h", "z")

    def require_place(self, layers: int) -> None:
        """Raises `InputError` if the encoder, which has so many layers, lacks the place."""
        if self.reads_layers and self.at != LAYERS and not 0 < int(self.at[-2:]) <= layers:
            refuse("regularizer.at", f"h, z, layers, or layer01 to layer{layers:02d}", self.at, "Set regularizer.at=h")

    def choose(self, places: Mapping[str, Tensor]) -> Tensor:
        """Returns the embeddings at the place, ``(n, dim)``; ``places`` has ``h``, ``z`` and the layers."""
        if self.at != LAYERS:
            return places[self.at]
        names = sorted(name for name in places if re.fullmatch(r"layer\d\d", name) and name != "layer00")
        return torch.cat([places[name] for name in names])

    def forward(self, x: Tensor) -> Tensor:
        """Returns the term of the global batch, ``()``, the same on all processes.

        Args:
            x: This process's embeddings, ``(n, dim)``; ``n`` may be 0.

        Raises:
            InputError: The global batch has fewer than two rows.
        """
        with torch.autocast(device_type=x.device.type, enabled=False):
            return self.term(x.to(statistics_dtype(x)))

    @abstractmethod
    def term(self, x: Tensor) -> Tensor:
        """Returns the term without its weight, ``()``, differentiable; autocast is off, ``x`` has float64."""

    def require_rows(self, x: Tensor, count: Tensor) -> None:
        """Raises `InputError` on every process if the batch of ``count`` rows is too small."""
        require_batch(len(x), count, self.min_batch_size)


class Unregularized(Regularizer):
    """No term: nothing is computed."""

    min_batch_size = 1

    def __init__(self, dim: int = 0) -> None:
        super().__init__(weight=0.0)

    @property
    def is_active(self) -> bool:
        return False

    def term(self, x: Tensor) -> Tensor:
        raise InputError("Expected a regularizer with a term, but there is none")
