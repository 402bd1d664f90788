"""`DataModule`: the data of a run as the trainer, the calibration and the records use it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from clsnorm.data.facts import Batching, Facts, Scoring
from clsnorm.data.notes import notes, source_record, warnings
from clsnorm.data.rows.subsets import LabelNoise, Subset
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.data.tokens.loader import BatchLoader, TokenDataset
from clsnorm.data.tokens.preparation import SPARSE, Preparation
from clsnorm.data.tokens.prepared import Prepared
from clsnorm.data.tokens.sampling import GlobalBatches
from clsnorm.data.tokens.stored_features import StoredFeatures
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError, require_whole
from clsnorm.failure import Outcome, judge
from clsnorm.metrics import build_metrics, majority_score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


class DataModule(pl.LightningDataModule):
    """Reads, checks, splits, tokenizes and batches one data set. Call `prepare` first.

    Splits are ``train``, ``select`` (chooses the checkpoint) and the report splits (evaluated once, at the end). Splits
    that are not published are carved from train, before any subset is drawn: a tenth, at least 200 and at most 2,000
    rows, never more than half; stratified by class, or by decile for numbers; rows with the same text stay together;
    from a fixed seed. The report split is carved first.

    Args:
        sources: Where the rows may come from; tried in this order.
        name: Of the data set, for messages.
        task, labels, untrained, allow_absent, rows, max_empty, drop_leaked: See `clsnorm.data.facts.Facts`.
        metrics, monitor, mode: See `clsnorm.data.facts.Scoring`.
        max_length: Tokens kept of an example, special tokens included.
        max_train_examples, shots_per_class, seed_subset: See `clsnorm.data.rows.subsets.Subset`.
        label_noise, seed_noise: See `clsnorm.data.rows.subsets.LabelNoise`; of the subset, if one is drawn.
        batch_size, drop_last, eval_batch_size, packed, num_workers, seed_order, batches_per_step, rank, world_size: See
            `clsnorm.data.facts.Batching`.
        data_root: Folder of published data sets.
        cache: Folder where rows and tokens are cached.
        about: Further facts for the record: citation, licence, ...
        tokenizer: A fast tokenizer.

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
        batches_per_step: int = 1,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        require_whole("data.max_length", max_length, least=1)
        self.facts = Facts(
            task=task,
            labels=None if labels is None else list(labels),
            untrained=list(untrained or ()),
            allow_absent=allow_absent,
            rows=dict(rows or {}),
            max_empty=max_empty,
            drop_leaked=drop_leaked,
        )
        self.facts.require_counts({split for source in sources.values() for split in source.splits})
        self.scores = Scoring(metrics=dict(metrics), monitor=monitor, mode=mode)
        self.batching = Batching(
            batch_size=batch_size,
            batches_per_step=batches_per_step,
            drop_last=drop_last,
            eval_batch_size=eval_batch_size,
            packed=packed,
            num_workers=num_workers,
            seed_order=seed_order,
            rank=rank,
            world_size=world_size,
        )
        self.subset = Subset(max_train_examples, shots_per_class, seed_subset)
        self.noise = LabelNoise(label_noise, seed_noise)
        if self.regression and (shots_per_class is not None or label_noise):
            raise InputError("Expected data.shots_per_class=null and data.label_noise=0: regression has no classes")
        self.sources, self.name, self.about = dict(sources), name, dict(about or {})
        self.tokenizer, self._max_length = tokenizer, max_length
        self._root, self._cache = Path(data_root), Path(cache).expanduser()
        self._tokens: dict[str, Tokens] = {}
        self._features: dict[str, StoredFeatures] = {}
        self._resume = (0, 0)

    def prepare(self) -> None:
        """Prepares all splits, from the cache or from the first source that has the rows; a second call is free.

        With several processes, let one return before the others call it: they then read the cache.

        Raises:
            InputError: If no source has the rows, naming all that were tried, or if the rows are faulty.
        """
        if self._tokens:
            return
        tried, cures = [], []
        for source in self.sources.values():
            preparation = self._preparation(source)
            try:
                prepared = preparation.run(self.subset)
            except Unavailable as reason:
                tried.append(str(reason))
                cures.append(source.cure)
            else:
                self._used_source = preparation
                self._adopt(prepared)
                self._record(preparation, prepared)
                return
        raise InputError(
            f"Found no rows for data set {self.name!r}; tried {'; '.join(tried)}. To get them, {', or '.join(cures)}"
        )

    def _preparation(self, source: Source) -> Preparation:
        return Preparation(
            source=source,
            facts=self.facts,
            root=self._root,
            cache=self._cache,
            tokenizer=self.tokenizer,
            max_length=self._max_length,
            progress=self.batching.rank == 0,
        )

    def _adopt(self, prepared: Prepared) -> None:
        noisy = prepared.with_noise(self.noise, self.facts.untrained_among(prepared.labels or ()))
        self._tokens, self._used, self.labels = noisy.tokens, noisy.used, noisy.labels
        self._sizes: dict[str, int] = prepared.record["sizes"]  # of whole splits
        self.fingerprint = noisy.fingerprint()
        self.num_outputs = len(self.labels) if self.labels else 1
        self.metrics = build_metrics(self.scores.metrics, num_outputs=self.num_outputs, regression=self.regression)

    def _record(self, preparation: Preparation, prepared: Prepared) -> None:
        self.source_record = source_record(preparation, prepared) | {
            "about": self.about,
            "subset": {**dataclasses.asdict(self.subset), "rows": self.train_size},
            "label_noise": {**dataclasses.asdict(self.noise), "rows": self.noise.count(self.train_size)},
        }
        for note in notes(self.source_record) if self.batching.rank == 0 else ():
            logger.info(note)
        for warning in warnings(self.source_record) if self.batching.rank == 0 else ():
            logger.warning(warning)

    def prepare_data(self) -> None:
        self.prepare()

    def setup(self, stage: str | None = None) -> None:
        self.prepare()

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to predict."""
        return self.facts.regression

    @property
    def monitor(self) -> str:
        """The metric that chooses the checkpoint."""
        return self.scores.monitor

    @property
    def mode(self) -> str:
        """``max`` or ``min``: what is good in `monitor`."""
        return self.scores.mode

    @property
    def batch_size(self) -> int:
        """Examples of a training batch over all processes."""
        return self.batching.batch_size

    @property
    def eval_batch_size(self) -> int:
        """Examples of any other batch over all processes."""
        return self.batching.eval_batch_size

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
        return self.train_size // self.batch_size + (0 if self.batching.drop_last else self._rest > 0)

    @property
    def smallest_batch(self) -> int:
        """Examples of the smallest global batch of a training epoch; 0 if there is none."""
        if self._rest and not self.batching.drop_last:
            return self._rest
        return self.batch_size if self.train_size >= self.batch_size else 0

    @property
    def _rest(self) -> int:
        """Examples of a training epoch that do not fill a batch."""
        return self.train_size % self.batch_size

    @property
    def splits(self) -> list[str]:
        """All splits, train first."""
        return list(self._tokens)

    def tokens_of(self, split: str) -> Tokens:
        """Returns the tokens of the rows of ``split``, in the order of the data."""
        return self._tokens[split].take(self._used[split])

    def to_encode(self, split: str) -> tuple[TokenDataset, np.ndarray | None]:
        """Returns all tokens of ``split``, and which of its rows are worth encoding once; None: all.

        A subset of train that is at least half of it shares the embeddings of all rows with other subsets.
        """
        rows, whole = self._used[split], self._sizes[split]
        return self._dataset(split), None if len(rows) >= SPARSE * whole else rows

    def take_features(self, features: Mapping[str, StoredFeatures]) -> None:
        """Adds embeddings by split, which each batch from now on has as its ``features``."""
        self._features = dict(features)

    def texts_of(self, split: str) -> list[list[str]]:
        """Returns the texts of a select or report split, in the order of the data: one list, or two for pairs."""
        columns: list[list[str]] = [[] for _ in self._used_source.source.text]
        for chunk in self._used_source.texts(split):
            for column, texts in zip(columns, chunk, strict=True):
                column += texts
        return columns

    def labels_of(self, split: str) -> np.ndarray:
        """Returns the class ids or values of ``split``, in the order of the data."""
        return np.asarray(self._tokens[split].labels[self._used[split]])

    def ids_of(self, split: str) -> np.ndarray:
        """Returns the example ids of ``split``, int64, each once, in the order of the data."""
        return np.asarray(self._tokens[split].example_ids[self._used[split]])

    @property
    def class_counts(self) -> list[int]:
        """Number of training examples of each class, in the order of their ids; empty in regression."""
        if self.regression:
            return []
        return [int(count) for count in np.bincount(self.labels_of("train"), minlength=self.num_outputs)]

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

    def judge(self, values: Tensor, labels: Tensor) -> Outcome:
        """Returns whether the predictions on all rows of a split show a failed model: `clsnorm.failure.judge`."""
        return judge(
            self.metrics[self.monitor],
            values,
            labels,
            constant=self.majority(),
            num_outputs=self.num_outputs,
            regression=self.regression,
            mode=self.mode,
        )

    def resume_at(self, epoch: int, start: int) -> None:
        """Makes the next training loader begin with batch ``start`` of ``epoch``; call it before ``trainer.fit``."""
        self._resume = (epoch, start)

    def train_dataloader(self) -> BatchLoader:
        batching = self.batching
        loader = self._loader(
            "train",
            self.batch_size,
            seed=batching.seed_order,
            batches_per_step=batching.batches_per_step,
            drop_last=batching.drop_last,
        )
        loader.batches.resume_at(*self._resume)
        return loader

    def val_dataloader(self) -> BatchLoader:
        return self._loader("select", self.eval_batch_size)

    def test_dataloader(self) -> list[BatchLoader]:
        return [self._loader(name, self.eval_batch_size) for name in self.report_names]

    def calibration_dataloader(self) -> BatchLoader:
        """Returns this process's share of the training split, in order; no row is padded, repeated or left out."""
        return self._loader("train", self.eval_batch_size)

    def rows_dataloader(self, split: str, rows: np.ndarray) -> BatchLoader:
        """Returns this process's share of some ``rows`` of ``split``, by their index in it, in order."""
        return self._loader(split, self.eval_batch_size, rows=self._used[split][rows])

    def _loader(
        self,
        split: str,
        batch_size: int,
        *,
        seed: int | None = None,
        batches_per_step: int = 1,
        drop_last: bool = False,
        rows: np.ndarray | None = None,
    ) -> BatchLoader:
        batching = self.batching
        dataset = self._dataset(split, rows=self._used[split] if rows is None else rows)
        batches = GlobalBatches(
            len(dataset),
            batch_size=batch_size,
            seed=seed,
            batches_per_step=batches_per_step,
            drop_last=drop_last,
            rank=batching.rank,
            world_size=batching.world_size,
        )
        return BatchLoader(dataset, batches, num_workers=batching.num_workers)

    def _dataset(self, split: str, rows: np.ndarray | None = None) -> TokenDataset:
        return TokenDataset(
            self._tokens[split],
            rows=rows,
            packed=self.batching.packed,
            padding=self.tokenizer.pad_token_id or 0,
            features=self._features.get(split),
        )
