"""`ClassSums`: counts and sums of rows and of unit vectors by class."""

from __future__ import annotations

import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.statistics.accumulators.sums import Sums


class ClassSums(Sums):
    """Sums by class: of rows, of unit vectors, and how many rows there are and have a direction.

    Args:
        dim: Dimensions of a row.
        number: Number of classes.
    """

    def __init__(self, dim: int, number: int) -> None:
        self.number = number
        super().__init__(count=(number,), total=(number, dim), unit=(number, dim), direct=(number,))

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64, with class ids ``(n,)``."""
        labels = labels.to(rows.device).long()
        if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= self.number):
            raise InputError(f"Expected class ids from 0 to {self.number - 1}, but got {labels.unique().tolist()}")
        member = torch.nn.functional.one_hot(labels, self.number).to(rows.dtype).T
        norms = rows.norm(dim=1)
        units = rows / torch.where(norms > 0, norms, 1.0)[:, None]
        direct = (norms > 0).to(rows.dtype)
        self.add(count=member.sum(1), total=member @ rows, unit=member @ units, direct=member @ direct)
