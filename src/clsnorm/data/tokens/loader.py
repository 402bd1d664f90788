"""From tokens to batches, without a Python loop over examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from clsnorm.batches import Batch
from clsnorm.data.tokens.sampling import GlobalBatches, Part
from clsnorm.data.tokens.stored_features import StoredFeatures
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.launch.one_machine import die_with_parent


class TokenDataset(Dataset[Batch]):
    """Rows of a split. Indexed by a part of a global batch, it returns a `Batch`.

    Args:
        tokens: The split.
        rows: Which rows of ``tokens``; None: all.
        packed: Whether batches are packed or padded.
        padding: Token id that fills padded batches.
        features: The embeddings of a frozen encoder at the rows of ``tokens``; None: batches have none.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        rows: np.ndarray | None = None,
        packed: bool,
        padding: int,
        features: StoredFeatures | None = None,
    ) -> None:
        self.tokens, self.packed, self.padding, self.features = tokens, packed, padding, features
        self.rows = np.arange(len(tokens)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__(Part(np.array([index]), 1))

    def __getitems__(self, part: Part) -> Batch:
        rows = self.rows[part.rows]
        at, positions, lengths = self.tokens.locate(rows)
        columns = [self.tokens.token_ids[at].astype(np.int64), positions, self.tokens.segment_ids[at].astype(np.int64)]
        if self.packed:
            columns = [column[None] for column in columns]
        else:
            mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
            fills = (self.padding, 0, 0)
            columns = [_padded(column, mask, fill) for column, fill in zip(columns, fills, strict=True)]
        token_ids, position_ids, segment_ids = (torch.from_numpy(column) for column in columns)
        return Batch(
            token_ids=token_ids,
            positions=position_ids,
            segment_ids=segment_ids,
            lengths=torch.from_numpy(lengths),
            labels=torch.from_numpy(self.tokens.labels[rows]),
            example_ids=torch.from_numpy(self.tokens.example_ids[rows]),
            global_size=part.global_size,
            packed=self.packed,
            step_size=part.step_size,
            features=None if self.features is None else torch.from_numpy(self.features.of(rows)),
        )


def _padded(column: np.ndarray, mask: np.ndarray, fill: int) -> np.ndarray:
    out = np.full(mask.shape, fill, dtype=np.int64)
    out[mask] = column
    return out


def _start_worker(number: int) -> None:
    """Ends a loading process as soon as its parent is killed, instead of seconds later."""
    die_with_parent()


def _as_is(batch: Any) -> Any:
    return batch


class BatchLoader(DataLoader[Batch]):
    """A loader of global batches.

    Its ``state_dict`` is empty: `GlobalBatches.resume_at` sets where to start. Without the method Lightning would
    replay the epoch from its beginning after a resume.

    Args:
        dataset: The rows.
        batches: Which examples are in which batch.
        num_workers: Processes that load; 0: this one.
    """

    def __init__(self, dataset: TokenDataset, batches: GlobalBatches, *, num_workers: int = 0) -> None:
        super().__init__(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_as_is,
            num_workers=num_workers,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
        )
        self.batches = batches

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Does nothing."""
