"""Which dimensions of the training split's embeddings are outliers, for the maps that treat those differently."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clsnorm.errors import is_whole, refuse, require_positive
from clsnorm.statistics import Moments
from clsnorm.statistics.outlier_dimensions import outliers


class OutlierRule:
    """The two published definitions, of which either is enough, or a given list.

    A dimension is an outlier if its mean is more than ``mean_deviations`` standard deviations away from the average
    mean (`clsnorm.statistics.outlier_dimensions.outliers`: Kovaleva et al. 2021, arXiv:2105.06990), or its variance
    more than ``variance_ratio`` times the average variance (Rudman et al. 2023, arXiv:2310.17715).

    Args:
        dim: Dimensions of an embedding.
        mean_deviations: How far a mean may be from the average mean, in standard deviations of the means.
        variance_ratio: How large a variance may be, as a multiple of the average one.
        dims: The outlier dimensions, counted from 0, if they are known; the other options then have no effect.

    Raises:
        InputError: An option is not positive, or ``dims`` are not different whole numbers below ``dim``.
    """

    def __init__(
        self, dim: int, *, mean_deviations: float, variance_ratio: float, dims: Sequence[int] | None = None
    ) -> None:
        require_positive("mean_deviations", mean_deviations, advice="Give normalizer.mean_deviations=3")
        require_positive("variance_ratio", variance_ratio, advice="Give normalizer.variance_ratio=5")
        self.mean_deviations = mean_deviations
        self.variance_ratio = variance_ratio
        self.dims = None if dims is None else list(dims)
        if self.dims and not _are_dimensions(self.dims, dim):
            rule = f"a list of different dimensions from 0 to {dim - 1}"
            refuse("dims", rule, self.dims, "Give null to look for the outliers")

    def find(self, moments: Moments) -> Tensor:
        """Returns which dimensions are outliers, ``(dim,)``, bool, on the device of ``moments``."""
        mean, variance = moments.mean, moments.variance
        found = torch.zeros_like(mean, dtype=torch.bool)
        if self.dims is not None:
            found[self.dims] = True
            return found
        found[outliers(mean, deviations=self.mean_deviations)] = True
        return found | (variance > self.variance_ratio * variance.mean())

    def __repr__(self) -> str:
        return f"mean_deviations={self.mean_deviations}, variance_ratio={self.variance_ratio}, dims={self.dims}"


def _are_dimensions(given: Sequence[object], dim: int) -> bool:
    """Returns whether ``given`` are whole numbers from 0 to ``dim - 1``, each once."""
    return all(is_whole(i) and 0 <= i < dim for i in given) and len({*given}) == len(given)  # type: ignore[operator]
