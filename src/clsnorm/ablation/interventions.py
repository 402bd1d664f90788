"""Ablations of dimensions of the [CLS] embedding ``h``, before the normalizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clsnorm.ablation.outlier_sets import NormParameters


@dataclass(frozen=True)
class TrainFacts:
    """What ablations know of the training split and of the model.

    Attributes:
        mean: Of ``h``, ``(d,)``, float64.
        covariance: Of ``h``, ``(d, d)``, float64.
        norm: Weight and bias of the layer norm that outputs ``h``; None if another module does.
    """

    mean: Tensor
    covariance: Tensor
    norm: NormParameters | None


@dataclass(frozen=True)
class Intervention:
    """One way to ablate a set of dimensions.

    Attributes:
        meaning: What it does.
        change: From the embeddings ``(n, d)``, the dimensions ``(k,)``, the facts and other examples' embeddings
            ``(n, d)`` to the ablated embeddings, in float64. It is not called without dimensions.
        of_norm: Whether it needs the layer norm that outputs ``h``.
    """

    meaning: str
    change: Callable[[Tensor, Tensor, TrainFacts, Tensor], Tensor]
    of_norm: bool = False

    def apply(self, h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
        """Returns the ablated embeddings in the type of ``h``; ``h`` itself if there are no dimensions."""
        if not len(dims):
            return h
        return self.change(h.double(), dims, facts, others.double()).to(h.dtype)


def _replaced(h: Tensor, dims: Tensor, values: Tensor | float) -> Tensor:
    changed = h.clone()
    changed[:, dims] = torch.as_tensor(values, dtype=h.dtype)
    return changed


def _zero(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    return _replaced(h, dims, 0.0)


def _mean(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    return _replaced(h, dims, facts.mean[dims])


def _resample(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    return _replaced(h, dims, others[:, dims])


def _direction(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    mean = facts.mean[dims]
    unit = mean / mean.norm() if mean.any() else mean
    return _replaced(h, dims, h[:, dims] - torch.outer(h[:, dims] @ unit, unit))


def _subspace(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    regression = torch.linalg.pinv(facts.covariance[dims][:, dims], hermitian=True) @ facts.covariance[dims]
    return h - (h[:, dims] - facts.mean[dims]) @ regression


def _norm_weight(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    assert facts.norm is not None
    return _replaced(h, dims, facts.norm[1][dims])


def _norm_bias(h: Tensor, dims: Tensor, facts: TrainFacts, others: Tensor) -> Tensor:
    assert facts.norm is not None
    return _replaced(h, dims, h[:, dims] - facts.norm[1][dims])


INTERVENTIONS = {
    "zero": Intervention("the dimensions are 0; the same as zeroing weight and bias of the last layer norm", _zero),
    "mean": Intervention("the dimensions are their means over train", _mean),
    "resample": Intervention("the dimensions are those of another example of the split", _resample),
    "direction": Intervention("their component along the train mean of these dimensions is removed", _direction),
    "subspace": Intervention("the dimensions, and all that is linear with them in the others, are removed", _subspace),
    "norm_weight": Intervention("the last layer norm's weight is 0: the dimensions are its bias", _norm_weight, True),
    "norm_bias": Intervention("the last layer norm's bias is 0", _norm_bias, True),
}


def applicable(facts: TrainFacts) -> dict[str, Intervention]:
    """Returns the ablations that the model allows, by name."""
    return {name: one for name, one in INTERVENTIONS.items() if facts.norm is not None or not one.of_norm}


def other_examples(rows: int, seed: int) -> np.ndarray:
    """Returns for each of ``rows`` examples another one, each used once; of a single example itself."""
    order = np.random.default_rng([seed, rows]).permutation(rows)
    found = np.empty(rows, dtype=np.int64)
    found[order] = np.roll(order, 1)
    return found
