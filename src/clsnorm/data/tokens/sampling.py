"""Which examples are in which batch: the same for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from clsnorm.data.rows.splits import shuffled


class Part(NamedTuple):
    """One process's share of a global batch.

    Attributes:
        rows: Row numbers; may be empty.
        global_size: Rows of the batch over all processes.
        step_size: Rows of all batches of its optimizer step over all processes; 0: the batch is a whole step.
    """

    rows: np.ndarray
    global_size: int
    step_size: int = 0


class GlobalBatches(Sampler[Part]):
    """Cuts the data into global batches, and each batch into one part per process.

    Batch b of epoch e depends only on (seed, e), not on the number of processes: their parts, joined in the order of
    the ranks, are the batch. The last batch may be smaller; no row is dropped or repeated, unless ``drop_last``. A
    process may get an empty part, and all get the same number of parts.

    Args:
        size: Number of rows.
        batch_size: Rows of a global batch.
        seed: Of the order; None keeps the order of the data.
        batches_per_step: Batches whose gradients an optimizer step accumulates. As in Lightning, the count begins again
            in each epoch, and the last step of an epoch takes the batches that are left.
        drop_last: Whether the rows that do not fill a batch are left out, other rows in each epoch.
        rank: This process.
        world_size: Number of processes.

    Attributes:
        used: Rows of an epoch.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int | None = None,
        batches_per_step: int = 1,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size, self.batch_size, self.seed, self.batches_per_step = size, batch_size, seed, batches_per_step
        self.rank, self.world_size = rank, world_size
        self.used = size - size % batch_size if drop_last else size
        self.epoch = self.start = 0

    @property
    def sampler(self) -> GlobalBatches:
        """Itself: Lightning looks for `set_epoch` at ``loader.batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Moves to the beginning of an epoch; keeps a start within it that `resume_at` has set."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume_at(self, epoch: int, start: int) -> None:
        """Makes epoch ``epoch`` begin with its batch number ``start``."""
        self.epoch, self.start = epoch, start

    def order(self) -> np.ndarray:
        """Returns the order of the rows in this epoch."""
        return np.arange(self.size) if self.seed is None else shuffled(self.size, self.seed, self.epoch)

    def __iter__(self) -> Iterator[Part]:
        order = self.order()
        for first in range(self.start * self.batch_size, self.used, self.batch_size):
            batch = order[first : first + self.batch_size]
            part = np.array_split(batch, self.world_size)[self.rank]
            yield Part(part, len(batch), self._step_size(first // self.batch_size))

    def _step_size(self, batch: int) -> int:
        """Returns the rows of the optimizer step that batch number ``batch`` of an epoch belongs to."""
        first = batch - batch % self.batches_per_step
        start, stop = (number * self.batch_size for number in (first, first + self.batches_per_step))
        return min(stop, self.used) - start

    def __len__(self) -> int:
        """Batches of a whole epoch, also after `resume_at`, because Lightning counts from the epoch's beginning."""
        return -(-self.used // self.batch_size)
