"""`DataModule`: a data set as the trainer, the calibration and the records see it."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
from torchmetrics import Metric

from clsnorm.data.arguments import (
    TASKS,
    require_choice,
    require_counts,
    require_labels,
    require_positive,
    require_seeds,
    require_share,
    require_untrained,
    require_workers,
)
from clsnorm.data.rows.notes import notes, source_record, warnings
from clsnorm.data.rows.selection import Selection
from clsnorm.data.rows.subsets import LabelNoise, Subset
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.data.tokens.loader import BatchLoader, TokenDataset
from clsnorm.data.tokens.preparation import Preparation, Prepared
from clsnorm.data.tokens.sampling import GlobalBatches
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError, require_switch
from clsnorm.metrics import build_metrics, majority_score

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
        untrained: Classes of which train has no row, so that none can be learned; any other is refused.
        allow_absent: Whether a published select or report split may lack a class, which is then told; else it is
            refused.
        metrics: Metrics by name. A partial is called with ``num_classes``. They are fed probabilities ``(B, C)`` and
            class ids, or values and targets, both ``(B,)``.
        monitor: The metric that chooses the checkpoint.
        mode: ``max`` or ``min``: what is good in ``monitor``.
        max_length: Tokens kept of an example, special tokens included.
        batch_size: Examples of a training batch over all processes.
        eval_batch_size: Examples of any other batch over all processes.
        max_train_examples: Size of a stratified subset of train; None, or more than there are: all. For one
            ``seed_subset`` a larger subset holds the smaller one.
        shots_per_class: Training rows of each class instead; None: no such rule.
        label_noise: Share of the training labels, of the subset if one is drawn, that are replaced by another class.
        drop_leaked: Whether rows of train whose text, but for case, punctuation and spaces, stands in another split are
            left out.
        max_empty: Largest share of rows of a split whose text may be empty; they are left out.
        packed: Whether batches are packed (no padding) or padded.
        data_root: Folder of published data sets.
        cache: Folder where rows and tokens are kept.
        num_workers: Processes that load batches; 0: this one.
        about: What else is known of the data set, for the record: citation, licence, ...
        tokenizer: A fast tokenizer.
        seed_order: Of the order of training examples.
        seed_subset: Of the training subset.
        seed_noise: Of the label noise.
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
        untrained: Sequence[Any],
        allow_absent: bool,
        rows: Mapping[str, int | None] | None,
        metrics: Mapping[str, Metric | Callable[..., Metric]],
        monitor: str,
        mode: str,
        max_length: int,
        batch_size: int,
        eval_batch_size: int,
        max_train_examples: int | None,
        shots_per_class: int | None,
        label_noise: float,
        drop_leaked: bool,
        max_empty: float,
        packed: bool,
        data_root: str,
        cache: str,
        num_workers: int,
        about: Mapping[str, Any] | None,
        tokenizer: PreTrainedTokenizerFast,
        seed_order: int,
        seed_subset: int,
        seed_noise: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        require_positive({"max_length": max_length, "batch_size": batch_size, "eval_batch_size": eval_batch_size})
        require_share("max_empty", max_empty)
        require_choice("task", task, TASKS)
        require_choice("mode", mode, ("max", "min"))
        require_choice("monitor", monitor, tuple(metrics))
        require_labels(labels, task)
        require_seeds({"order": seed_order, "subset": seed_subset, "noise": seed_noise})
        require_switch("data.allow_absent", allow_absent)
        require_switch("data.drop_leaked", drop_leaked)
        require_switch("data.packed", packed)
        require_workers(num_workers)
        require_counts(rows or {}, {split for source in sources.values() for split in source.splits})
        self.sources, self.name, self.regression = dict(sources), name, task == "regression"
        self.stated_labels = None if labels is None else [str(label) for label in labels]
        self.untrained = [str(label) for label in untrained]
        require_untrained(self.untrained, self.stated_labels)
        self.rows, self._metrics, self.monitor, self.mode = dict(rows or {}), dict(metrics), monitor, mode
        self.max_length, self.batch_size, self.eval_batch_size = max_length, batch_size, eval_batch_size
        self.subset = Subset(max_train_examples, shots_per_class, seed_subset)
        self.noise = LabelNoise(label_noise, seed_noise)
        if self.regression and (shots_per_class is not None or label_noise):
            raise InputError("Expected data.shots_per_class=null and data.label_noise=0: regression has no classes")
        self.packed, self.num_workers, self.about = packed, num_workers, dict(about or {})
        self.tokenizer, self.seed_order = tokenizer, seed_order
        self.rank, self.world_size = rank, world_size
        self._preparation = partial(
            Preparation,
            root=Path(data_root),
            cache=Path(cache).expanduser(),
            regression=self.regression,
            labels=self.stated_labels,
            untrained=self.untrained,
            allow_absent=allow_absent,
            sizes=self.rows,
            max_empty=max_empty,
            drop_leaked=drop_leaked,
            tokenizer=tokenizer,
            max_length=max_length,
            progress=rank == 0,
        )
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
            preparation = self._preparation(source=source)
            try:
                prepared = preparation.run(self.subset)
            except Unavailable as reason:
                tried.append(str(reason))
                cures.append(source.cure)
            else:
                self._adopt(prepared)
                self._record(preparation, prepared)
                return
        raise InputError(
            f"Found no rows for data set {self.name!r}; tried {'; '.join(tried)}. To get going, {', or '.join(cures)}"
        )

    def _adopt(self, prepared: Prepared) -> None:
        self._used, self.labels = prepared.used, prepared.labels
        self.num_outputs = len(self.labels) if self.labels else 1
        train = prepared.tokens["train"]
        labels = self._noisy(train.labels) if self.noise.share else train.labels
        self._changed = self.noise.count(self.train_size)
        self._tokens = {**prepared.tokens, "train": dataclasses.replace(train, labels=labels)}
        self.metrics = build_metrics(self._metrics, num_outputs=self.num_outputs, regression=self.regression)
        digest = hashlib.sha256(repr(self.labels).encode())
        for split, part in sorted(self._tokens.items()):  # what they hold: another source of the same rows is no change
            digest.update(split.encode() + part.digest(self._used[split]))
        self.fingerprint = digest.hexdigest()

    def _noisy(self, labels: np.ndarray) -> np.ndarray:
        noisy, rows = np.array(labels), self._used["train"].numbers()
        noisy[rows] = self.noise.applied(noisy[rows], self._trained(noisy))
        return noisy

    def _trained(self, labels: np.ndarray) -> np.ndarray:
        """Returns the ids of the classes that have a row in train or should have one, ascending."""
        spared = [name in self.untrained for name in self.labels or ()]
        counts = np.bincount(labels, minlength=self.num_outputs)
        return np.flatnonzero((counts > 0) | ~np.array(spared))

    def _record(self, preparation: Preparation, prepared: Prepared) -> None:
        self.source_record = source_record(preparation, prepared) | {
            "about": self.about,
            "subset": {**dataclasses.asdict(self.subset), "rows": self.train_size},
            "label_noise": {**dataclasses.asdict(self.noise), "rows": self._changed},
        }
        for note in notes(self.source_record) if self.rank == 0 else ():
            logger.info(note)
        for warning in warnings(self.source_record) if self.rank == 0 else ():
            logger.warning(warning)

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
        return len(self._used["train"])

    @property
    def steps_per_epoch(self) -> int:
        """Global batches of a training epoch."""
        return -(-self.train_size // self.batch_size)

    def labels_of(self, split: str) -> np.ndarray:
        """Returns the class ids or values of ``split``, in the order of the data."""
        return self._of(split, self._tokens[split].labels)

    def ids_of(self, split: str) -> np.ndarray:
        """Returns the example ids of ``split``, int64, each once, in the order of the data."""
        return self._of(split, self._tokens[split].example_ids)

    def _of(self, split: str, column: np.ndarray) -> np.ndarray:
        """Returns a copy of those of a ``column`` of ``split`` whose rows are used."""
        return np.asarray(column)[self._used[split][:]]

    def majority(self) -> int | float:
        """Returns the best constant prediction from train: the most frequent class, or the mean."""
        labels = self.labels_of("train")
        return float(labels.mean(dtype=np.float64)) if self.regression else int(np.bincount(labels).argmax())

    def majority_score(self, split: str) -> float:
        """Returns the monitored metric of that prediction on ``split``."""
        return majority_score(
            self.metrics[self.monitor],
            self.labels_of(split),
            constant=self.majority(),
            num_outputs=self.num_outputs,
            regression=self.regression,
        )

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

    def rows_dataloader(self, split: str, rows: np.ndarray) -> BatchLoader:
        """Returns this process's share of some rows of ``split``, which is not train, by their places in it."""
        return self._loader(split, self.eval_batch_size, rows=rows)

    def _loader(
        self, split: str, batch_size: int, *, seed: int | None = None, rows: np.ndarray | None = None
    ) -> BatchLoader:
        tokens, padding = self._tokens[split], self.tokenizer.pad_token_id or 0
        used = self._used[split] if rows is None else Selection.of(len(tokens), rows)
        dataset = TokenDataset(tokens, rows=used, packed=self.packed, padding=padding)
        batches = GlobalBatches(
            len(dataset), batch_size=batch_size, seed=seed, rank=self.rank, world_size=self.world_size
        )
        return BatchLoader(dataset, batches, num_workers=self.num_workers)
