"""A dose of bias: the mean embedding removed, reduced, enlarged or reversed, in all dimensions or in some."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import is_number, refuse, require_choice, require_switch
from clsnorm.normalizers.calibrated import CalibratedAffine
from clsnorm.normalizers.outlier_rule import OutlierRule
from clsnorm.statistics import Moments

PARTS = ("all", "outliers", "others")


class BiasDose(CalibratedAffine):
    """``z = h + (k - 1) m * mu``: the mean of the chosen dimensions becomes ``k`` times as large.

    ``mu`` is the mean of the training split and ``m`` the mask of the chosen dimensions, ones and zeros. ``k = 0`` is
    `Center`, ``k = 1`` the identity, both to the bit; ``k = -1`` reverses the mean. Differences between embeddings, and
    with them the covariance and all distances, are those of ``h``. With ``where="outliers"`` or ``"others"`` the dose
    applies to the outlier dimensions of `OutlierRule`, or to all but them: which half of the bias matters?

    A larger mean also makes embeddings longer. With ``keep_size`` all are multiplied by
    ``c = sqrt(E||h||^2 / E||h + (k - 1) m * mu||^2)``, so that the mean square stays and only the share of the mean in
    it changes; if that would be infinite, ``c = 1``.

    Args:
        dim: Dimensions of an embedding.
        k: The dose, a finite number of any sign.
        where: The dimensions it applies to: ``all``, ``outliers`` or ``others``.
        keep_size: Whether to rescale all embeddings to the original mean square.
        mean_deviations: See `OutlierRule`, as are the next two; without effect if ``where`` is ``all``.
        variance_ratio: See above.
        dims: See above.

    Raises:
        InputError: ``k`` is not a finite number, ``where`` not one of the three, ``keep_size`` neither true nor false,
            or an option of `OutlierRule` is out of range.
    """

    chosen: Tensor

    def __init__(
        self,
        dim: int,
        *,
        k: float = 4.0,
        where: str = "all",
        keep_size: bool = False,
        mean_deviations: float = 3.0,
        variance_ratio: float = 5.0,
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(dim, diagonal=True)
        if not is_number(k) or not abs(k) < float("inf"):
            refuse(
                "k", "a finite number", k, "Give 0 to remove the mean, 1 to leave it, 4 to make it four times as large"
            )
        require_choice("where", where, PARTS, advice="Give normalizer.where=all")
        require_switch("keep_size", keep_size, advice="Give normalizer.keep_size=true")
        self.rule = OutlierRule(dim, mean_deviations=mean_deviations, variance_ratio=variance_ratio, dims=dims)
        self.k = k
        self.where = where
        self.keep_size = keep_size
        self.register_buffer("chosen", torch.zeros(dim, dtype=torch.bool))

    def take(self, accumulator: Any) -> None:
        found = self.rule.find(accumulator)
        self.chosen.copy_({"all": torch.ones_like(found), "outliers": found, "others": ~found}[self.where])
        super().take(accumulator)

    def compute_location(self, accumulator: Moments) -> Tensor:
        mean = accumulator.mean
        moved = self.chosen.to(mean.device) & (self.k != 1)  # not (1 - k) mu, which may be -0.0
        return torch.where(moved, (1 - self.k) * mean, 0.0)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        mean, size = accumulator.mean, accumulator.mean_square.sum()
        if not self.keep_size:
            return torch.ones_like(mean)
        after = (accumulator.variance + (mean - self.compute_location(accumulator)) ** 2).sum()
        return torch.where(after > 0, (size / after).sqrt(), 1.0).expand(self.dim)

    def details(self) -> dict[str, Any]:
        """Returns also the share of the mean, ``||E z||^2 / E||z||^2`` at calibration, and any chosen dimensions."""
        mean, spread = self.calibrated_center.double() - self.location.double(), self.calibrated_spread.double()
        energy = (mean**2).sum()
        share = float(energy / (energy + (spread**2).sum()))
        some = {} if self.where == "all" else {"chosen_dimensions": self.chosen.nonzero().flatten().tolist()}
        return super().details() | {"mean_share": share} | some

    def extra_repr(self) -> str:
        return f"k={self.k}, where={self.where}, keep_size={self.keep_size}, {self.rule}"
