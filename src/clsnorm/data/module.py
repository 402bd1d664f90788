"""`DataModule`: a data set as the trainer, the calibration and the records see it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
from torchmetrics import Metric

from clsnorm.data import rows as preparing
from clsnorm.data import splits as carving
from clsnorm.data.arguments import TASKS, require_choice, require_labels, require_positive
from clsnorm.data.cache import TokenCache, cache_key
from clsnorm.data.loading import BatchLoader, TokenDataset
from clsnorm.data.sampling import GlobalBatches
from clsnorm.data.sources import Source, Unavailable
from clsnorm.data.tokens import Tokens, check_tokenizer, tokenize, tokenizer_fingerprint
from clsnorm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


class DataModule(pl.LightningDataModule):
    """Reads, checks, splits, tokenizes and batches one data set. Call `prepare` before anything else is asked.

    Splits are ``train``, ``select`` (chooses the checkpoint) and the report splits (looked at once, at the end). What
    is not published is carved from train, before any subset is drawn: a tenth, at least 200 and at most 2,000 rows,
    never more than half; stratified by class, or by decile for numbers; rows with the same text stay together; from a
    fixed seed. The report split is carved first.

    Args:
        sources: Where the rows may be; tried in this order.
        name: Of the data set, for messages.
        task: ``classification`` or ``regression``.
        labels: Class names in the order of their ids; None for regression, or for the sorted names found in train.
        rows: Stated rows of the published splits, checked; None for any number.
        metrics: Metrics by name. A partial is called with ``num_classes``. They are fed probabilities ``(B, C)`` and
            class ids, or values and targets, both ``(B,)``.
        monitor: The metric that chooses the checkpoint.
        mode: ``max`` or ``min``: what is good in ``monitor``.
        max_length: Tokens kept of an example, special tokens included.
        batch_size: Examples of a training batch over all processes.
        eval_batch_size: Examples of any other batch over all processes.
        max_train_examples: Size of a stratified subset of train; None, or more than there are: all. For one
            ``seed_subset`` a larger subset holds the smaller one.
        packed: Whether batches are packed (no padding) or padded.
        data_root: Folder of published data sets.
        cache: Folder where tokens are kept.
        num_workers: Processes that load batches; 0: this one.
        tokenizer: A fast tokenizer.
        seed_order: Of the order of training examples.
        seed_subset: Of the training subset.
        rank: This process.
        world_size: Number of processes.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        name: str,
        task: str,
        labels: Sequence[Any] | None,
        rows: Mapping[str, int | None] | None,
        metrics: Mapping[str, Metric | Callable[..., Metric]],
        monitor: str,
        mode: str,
        max_length: int,
        batch_size: int,
        eval_batch_size: int,
        max_train_examples: int | None,
        packed: bool,
        data_root: str,
        cache: str,
        num_workers: int,
        tokenizer: PreTrainedTokenizerFast,
        seed_order: int,
        seed_subset: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        sizes = {"max_length": max_length, "batch_size": batch_size, "eval_batch_size": eval_batch_size}
        require_positive(sizes | ({} if max_train_examples is None else {"max_train_examples": max_train_examples}))
        require_choice("task", task, TASKS)
        require_choice("mode", mode, ("max", "min"))
        require_choice("monitor", monitor, tuple(metrics))
        require_labels(labels, task)
        if min(seed_order, seed_subset) < 0:
            raise InputError(f"Expected seeds to be at least 0, but got {seed_order} (order), {seed_subset} (subset)")
        self.sources, self.name, self.regression = dict(sources), name, task == "regression"
        self.stated_labels = None if labels is None else [str(label) for label in labels]
        self.rows, self._metrics, self.monitor, self.mode = dict(rows or {}), dict(metrics), monitor, mode
        self.max_length, self.batch_size, self.eval_batch_size = max_length, batch_size, eval_batch_size
        self.max_train_examples, self.packed, self.num_workers = max_train_examples, packed, num_workers
        self.root, self.token_cache = Path(data_root), TokenCache(Path(cache))
        self.tokenizer, self.seed_order, self.seed_subset = tokenizer, seed_order, seed_subset
        self.rank, self.world_size = rank, world_size
        self._tokens: dict[str, Tokens] = {}
        self._resume = (0, 0)

    # Preparing

    def prepare(self) -> None:
        """Makes all splits ready, from the cache or from the first source that has the rows; a second call is free.

        With several processes, let one return from it before the others call it: they then read the cache.

        Raises:
            InputError: If no source has the rows, naming all that was tried, or if the rows are faulty.
        """
        if self._tokens:
            return
        tried, cures = [], []
        for source in self.sources.values():
            try:
                self._prepare_from(source)
            except Unavailable as reason:
                tried.append(str(reason))
                cures.append(source.cure)
            else:
                return
        raise InputError(
            f"Found no rows for data set {self.name!r}; tried {'; '.join(tried)}. To get going, {', or '.join(cures)}"
        )

    def _prepare_from(self, source: Source) -> None:
        check_tokenizer(self.tokenizer, self.max_length, pairs=len(source.text) == 2)
        content, spelling = source.fingerprint(self.root), tokenizer_fingerprint(self.tokenizer)
        key = cache_key(
            {
                "content": content,
                "source": source.describe(),
                "regression": self.regression,
                "labels": self.stated_labels,
                "rows": self.rows,
                "carving": [carving.SHARE, carving.AT_LEAST, carving.AT_MOST, carving.BINS, carving.SEEDS],
                "tokenizer": spelling,
                "max_length": self.max_length,
            }
        )
        entry = self.token_cache.get(key)
        if entry is None:
            self._fill_cache(source, key)
            entry = self.token_cache.get(key)
        if entry is None:
            raise RuntimeError(f"the tokens just written to {self.token_cache.folder} cannot be read back")
        splits, record = entry
        self._adopt(splits, record, spelling)
        self.source_record = {
            "kind": source.kind,
            "location": {split: source.location(self.root, split) for split in source.splits},
            "sha256": content,
            "rows": {split: len(tokens) for split, tokens in splits.items()},
            **{key: record[key] for key in ("published", "drops", "leaked", "truncated")},
        }

    def _fill_cache(self, source: Source, key: str) -> None:
        start = time.perf_counter()
        labels = self.stated_labels
        prepared = preparing.prepare(source, self.root, regression=self.regression, labels=labels, rows=self.rows)
        made = {s: tokenize(split, self.tokenizer, self.max_length) for s, split in prepared.splits.items()}
        truncated = {split: count for split, (_, count) in made.items()}
        record = {**prepared.record, "labels": prepared.labels, "truncated": truncated}
        self.token_cache.put(key, {split: tokens for split, (tokens, _) in made.items()}, record)
        total = sum(len(tokens) for tokens, _ in made.values())
        logger.info("tokenized %d rows of %s in %.1f s", total, self.name, time.perf_counter() - start)

    def _adopt(self, splits: dict[str, Tokens], record: Mapping[str, Any], spelling: str) -> None:
        train, size = splits["train"], self.max_train_examples
        kept = np.arange(len(train))
        if size is not None and size < len(train):
            kept = carving.subset(np.array(train.labels), size, self.seed_subset)
        self.labels: list[str] | None = record["labels"]
        if self.labels:
            preparing.labelling.require_classes(train.labels[kept], self.labels, "train")
        self._kept, self._tokens = kept, splits
        self.num_outputs = len(self.labels) if self.labels else 1
        self.metrics = {
            name: metric if isinstance(metric, Metric) else metric(num_classes=self.num_outputs)
            for name, metric in self._metrics.items()
        }
        digest = hashlib.sha256(repr((record["files"]["train"], spelling, self.max_length)).encode())
        digest.update(kept.tobytes())
        self.fingerprint = digest.hexdigest()

    def prepare_data(self) -> None:
        self.prepare()

    def setup(self, stage: str | None = None) -> None:
        self.prepare()

    # What others ask

    @property
    def report_names(self) -> list[str]:
        """The report splits, ``report`` first."""
        return [split for split in self._tokens if split.startswith("report")]

    @property
    def train_size(self) -> int:
        """Training examples, of the subset if one is drawn."""
        return len(self._kept)

    @property
    def steps_per_epoch(self) -> int:
        """Global batches of a training epoch."""
        return -(-self.train_size // self.batch_size)

    def labels_of(self, split: str) -> np.ndarray:
        """Returns the class ids or values of ``split``, in the order of the data."""
        labels = self._tokens[split].labels
        return np.array(labels[self._kept] if split == "train" else labels)

    def majority(self) -> int | float:
        """Returns the best constant prediction from train: the most frequent class, or the mean."""
        labels = self.labels_of("train")
        return float(labels.mean(dtype=np.float64)) if self.regression else int(np.bincount(labels).argmax())

    def resume_at(self, epoch: int, start: int) -> None:
        """Makes the next training loader begin with batch ``start`` of ``epoch``; call it before ``trainer.fit``."""
        self._resume = (epoch, start)

    # Loaders

    def train_dataloader(self) -> BatchLoader:
        loader = self._loader("train", self.batch_size, seed=self.seed_order)
        loader.batches.resume_at(*self._resume)
        return loader

    def val_dataloader(self) -> BatchLoader:
        return self._loader("select", self.eval_batch_size)

    def test_dataloader(self) -> list[BatchLoader]:
        return [self._loader(name, self.eval_batch_size) for name in self.report_names]

    def calibration_dataloader(self) -> BatchLoader:
        """Returns this process's share of the training split, in order: no row padded, repeated or left out."""
        return self._loader("train", self.eval_batch_size)

    def _loader(self, split: str, batch_size: int, *, seed: int | None = None) -> BatchLoader:
        rows = self._kept if split == "train" else None
        padding = self.tokenizer.pad_token_id or 0
        dataset = TokenDataset(self._tokens[split], rows=rows, packed=self.packed, padding=padding)
        batches = GlobalBatches(
            len(dataset), batch_size=batch_size, seed=seed, rank=self.rank, world_size=self.world_size
        )
        return BatchLoader(dataset, batches, num_workers=self.num_workers)
