"""`Snapshot`: all accumulators for one place in a model, filled in one pass."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.statistics.accumulators.class_sums import ClassSums
from clsnorm.statistics.accumulators.directions import Directions
from clsnorm.statistics.accumulators.higher_moments import HigherMoments
from clsnorm.statistics.accumulators.moments import Moments
from clsnorm.statistics.accumulators.norms import Norms
from clsnorm.statistics.accumulators.row_sample import RowSample
from clsnorm.statistics.accumulators.sums import Sums
from clsnorm.statistics.class_scatter import ClassScatter
from clsnorm.statistics.random_labels import RandomLabels

SAMPLE = 2048  # rows of the sample, for statistics without a closed form
STILL = 1e-12  # a standard deviation below this share of the mean, or of the largest one, is rounding noise of float64


class Snapshot:
    """All accumulators of the embeddings at one place: enough for every statistic of the catalogue.

    Rows that are not finite are counted in ``not_finite`` and make every number NaN; they are not silently dropped.

    Args:
        dim: Dimensions of an embedding.
        num_classes: Number of classes; 0 for regression.
        sample: Rows of the sample, for statistics without a closed form.
    """

    def __init__(self, dim: int, *, num_classes: int, sample: int = SAMPLE) -> None:
        self.dim, self.num_classes = dim, num_classes
        self.moments, self.directions, self.tails = Moments(dim), Directions(dim), HigherMoments(dim)
        self.norms, self.sample, self.classes = Norms(), RowSample(sample), ClassSums(dim, max(num_classes, 1))
        self.faults = Sums(not_finite=())

    def update(self, h: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Adds embeddings ``(n, dim)`` with class ids (any numbers in regression) and distinct example ids ``(n,)``.

        Raises:
            InputError: If the shapes do not fit.
        """
        if h.ndim != 2 or h.shape[1] != self.dim or len(labels) != len(h) or len(ids) != len(h):
            raise InputError(
                f"Expected embeddings (n, {self.dim}) with n labels and ids, but got {tuple(h.shape)}, {len(labels)} "
                f"and {len(ids)}"
            )
        self._forget()
        rows = (h.detach().cpu() if h.device.type == "mps" else h.detach()).double()
        finite = rows.isfinite().all(1)
        self.faults.add(not_finite=(~finite).sum().double())
        if not bool(finite.all()):
            rows, labels, ids = rows[finite], labels.to(finite.device)[finite], ids.to(finite.device)[finite]
        self.moments.update(rows)
        for part in (self.directions, self.tails, self.norms):
            part.update(rows)
        self.sample.update(rows, ids)
        self.classes.update(rows, labels if self.num_classes else torch.zeros_like(labels, dtype=torch.long))

    def _parts(self) -> dict[str, Any]:
        names = ("moments", "directions", "tails", "norms", "sample", "classes", "faults")
        return {name: getattr(self, name) for name in names}

    def merge(self, other: Snapshot) -> None:
        """Adds all rows of ``other``.

        Raises:
            InputError: If ``other`` differs in dimension, number of classes or sample size.
        """
        ours, theirs = ((s.dim, s.num_classes, s.sample.size) for s in (self, other))
        if ours != theirs:  # before anything is merged
            raise InputError(
                f"Expected a snapshot with (dim, num_classes, sample) {ours} to merge, but got one with {theirs}"
            )
        self._forget()
        for name, part in self._parts().items():
            part.merge(getattr(other, name))

    def all_reduce(self) -> None:
        """Replaces all accumulators by those of all processes. Collective."""
        self._forget()
        for part in self._parts().values():
            part.all_reduce()

    def state_dict(self) -> dict[str, Any]:
        """Returns the accumulators as plain tensors and numbers."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        self._forget()
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _forget(self) -> None:
        for name in ("covariance", "_eigen", "second_moment_eigenvalues", "between", "random_labels"):
            self.__dict__.pop(name, None)

    @property
    def count(self) -> int:
        """Finite rows."""
        return self.moments.count

    @property
    def not_finite(self) -> int:
        """Rows with a value that is not finite."""
        return int(self.faults.sums["not_finite"])

    @property
    def mean(self) -> Tensor:
        """``mu``, ``(dim,)``, on the host."""
        return self.moments.mean.cpu()

    @property
    def std(self) -> Tensor:
        """Standard deviation of each dimension, ``(dim,)``, divisor n, on the host; 0 as in `covariance`."""
        return self.covariance.diagonal().sqrt()

    @cached_property
    def covariance(self) -> Tensor:
        """``(dim, dim)``, divisor n, on the host; exactly zero for a dimension whose spread is rounding noise.

        A dimension that never changes (a layer norm with a weight of zero gives one) would otherwise have a standard
        deviation of about 1e-17, which a ratio or a correlation would blow up.
        """
        covariance = self.moments.covariance.cpu()
        spread = covariance.diagonal().sqrt()
        still = spread <= STILL * torch.maximum(self.mean.abs(), spread.max())
        covariance[still] = 0.0
        covariance[:, still] = 0.0
        return covariance

    @cached_property
    def between(self) -> ClassScatter:
        """Class means and scatters."""
        return ClassScatter(self.classes, self.covariance)

    @cached_property
    def random_labels(self) -> RandomLabels:
        """Class means under labels at random; takes up to 0.3 GB until `forget_random_labels`."""
        return RandomLabels(self)

    def forget_random_labels(self) -> None:
        """Frees the memory of `random_labels`."""
        self.__dict__.pop("random_labels", None)

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.clamp(min=0).flip(0), vectors.flip(1)

    @property
    def eigenvalues(self) -> Tensor:
        """Of the covariance, largest first."""
        return self._eigen[0]

    @property
    def eigenvectors(self) -> Tensor:
        """Of the covariance, in columns, in the order of `eigenvalues`."""
        return self._eigen[1]

    @cached_property
    def second_moment_eigenvalues(self) -> Tensor:
        """Of ``E[h h^T]``, largest first."""
        mean = self.mean
        return torch.linalg.eigvalsh(self.covariance + torch.outer(mean, mean)).clamp(min=0).flip(0)
