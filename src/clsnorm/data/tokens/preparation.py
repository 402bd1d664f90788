"""From a source to the tokens of all splits, through the caches of rows and of tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.cache import Cache, cache_key
from clsnorm.data.facts import Facts
from clsnorm.data.rows import leakage, splits
from clsnorm.data.rows.arrangement import arrange, split_names
from clsnorm.data.rows.labels import require_classes
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.storage import store
from clsnorm.data.rows.subsets import Subset
from clsnorm.data.sources.source import Source
from clsnorm.data.tokens.prepared import Prepared
from clsnorm.data.tokens.requirements import require_rows_with_cls, require_tokenizer
from clsnorm.data.tokens.tokenization import Tokens, tokenizer_fingerprint, write
from clsnorm.errors import InputError
from clsnorm.progress import ROWS, ProgressBar

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

FORMAT = 4  # raise it when the files of rows or tokens change
Entry = tuple[Path, dict[str, Any]]  # of a cache: its folder and its record

# What to do about a class without a row.
IN_TRAIN = "remove it from data.labels, if it is listed there, or name it in data.untrained"
ELSEWHERE = "set data.allow_absent=true"
SPARSE = 0.5  # a training subset smaller than this share of train is tokenized alone


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Prepares the rows of one source.

    Rows are read once, into a cache of clean rows; splits and subsets are computed from their labels and hashes; then
    the rows needed are tokenized, into a cache of tokens with an entry per split.

    Args:
        source: Where the rows come from.
        facts: What is stated about them.
        root: Folder of published data sets.
        cache: Folder of the caches.
        tokenizer: A fast tokenizer.
        max_length: Tokens kept of a row.
        progress: Whether to show progress bars.
    """

    source: Source
    facts: Facts
    root: Path
    cache: Path
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    progress: bool

    def run(self, subset: Subset) -> Prepared:
        """Returns the tokens, from the caches as far as possible.

        Raises:
            InputError: If the rows are faulty.
            Unavailable: If the source does not have them.
        """
        require_tokenizer(self.tokenizer, self.max_length, pairs=len(self.source.text) == 2)
        content = self.source.fingerprint(self.root)
        rows_key = self._rows_key(content)
        key, cache = self._tokens_key(rows_key), Cache(self.cache / "tokens")
        entries = self._find(cache, key, subset)
        if missing := [split for split, entry in entries.items() if entry is None]:
            folder, stored = self._rows(rows_key, content)
            self._tokenize(missing, folder, stored, cache, key, subset)
            entries = self._find(cache, key, subset)
        found = {split: entry for split, entry in entries.items() if entry is not None}
        if len(found) < len(entries):
            raise RuntimeError(f"the tokens just written to {cache.folder} cannot be read back")
        loaded, record = {split: Tokens.load(folder) for split, (folder, _) in found.items()}, found["train"][1]
        used, names = {split: np.arange(len(part)) for split, part in loaded.items()}, record["labels"]
        if not record["subset"]:
            used["train"] = self._drawn(subset, loaded["train"].labels, names)
        self._require_classes({split: part.labels[used[split]] for split, part in loaded.items()}, names)
        for split, part in loaded.items():  # also tokens cached by an earlier version, which did not look
            require_rows_with_cls(part, used[split], self.tokenizer, split)
        return Prepared(loaded, used, names, record, content)

    def texts(self, split: str) -> Iterator[list[list[str]]]:
        """Yields the texts of a whole split, chunk by chunk, in the order of its tokens: one list, or two for pairs.

        Raises:
            InputError: If the rows are faulty.
            Unavailable: If the source does not have them.
        """
        content = self.source.fingerprint(self.root)
        folder, _ = self._rows(self._rows_key(content), content)
        published = {name: Rows.load(folder, name) for name in self.source.splits}
        parts, _ = arrange(published, drop_leaked=self.facts.drop_leaked)
        yield from parts[split].texts()

    def _rows_key(self, content: str) -> str:
        facts = self.facts
        reading = {"regression": facts.regression, "labels": facts.labels, "sizes": facts.rows}
        reading["merged"] = facts.normalize_labels
        parts = {"content": content, "source": self.source.describe(), "empty": facts.max_empty, **reading}
        return cache_key({"format": FORMAT, **parts})

    def _tokens_key(self, rows_key: str) -> str:
        carving = [splits.SHARE, splits.AT_LEAST, splits.AT_MOST, splits.BINS, splits.SEEDS, self.facts.drop_leaked]
        spelling = [tokenizer_fingerprint(self.tokenizer), self.max_length]
        return cache_key({"rows": rows_key, "carving": carving, "spelling": spelling})

    def _find(self, cache: Cache, key: str, subset: Subset) -> dict[str, Entry | None]:
        """Returns the entry of each split; for train, one of all rows is preferred to one of the subset."""
        found = {split: cache.get(_entry_key(key, split)) for split in split_names(self.source.splits)}
        if found["train"] is None and not subset.everything:
            found["train"] = cache.get(_entry_key(key, "train", self._drawing(subset)))
        return found

    def _rows(self, key: str, content: str) -> Entry:
        cache = Cache(self.cache / "rows")
        entry = cache.get(key)
        if entry is None:
            start = time.perf_counter()
            with cache.draft(key) as (folder, record):
                record |= self._store(folder)
                self._require_unchanged(content)
            logger.info("read %d rows in %.1f s", sum(record["published"].values()), time.perf_counter() - start)
            entry = cache.get(key)
        if entry is None:
            raise RuntimeError(f"the rows just written to {cache.folder} cannot be read back")
        return entry

    def _store(self, folder: Path) -> dict[str, Any]:
        return store(
            self.source,
            self.root,
            folder,
            regression=self.facts.regression,
            labels=self.facts.labels,
            sizes=self.facts.rows,
            max_empty=self.facts.max_empty,
            progress=self.progress,
            normalize_labels=self.facts.normalize_labels,
        )

    def _require_unchanged(self, content: str) -> None:
        if self.source.fingerprint(self.root) != content:
            where = ", ".join(dict.fromkeys(self.source.location(self.root, split) for split in self.source.splits))
            raise InputError(f"Expected {where} to stay as it is while it is read, but it changed. Start again")

    def _tokenize(
        self, missing: Iterable[str], folder: Path, stored: dict[str, Any], cache: Cache, key: str, subset: Subset
    ) -> None:
        """Writes entries for the ``missing`` splits."""
        start, count = time.perf_counter(), 0
        published = {split: Rows.load(folder, split) for split in self.source.splits}
        parts, dropped = arrange(published, drop_leaked=self.facts.drop_leaked)
        self._require_classes({split: rows.labels for split, rows in parts.items()}, stored["labels"])
        record = _record(parts, stored, dropped)
        for split in missing:
            rows, drawing = parts[split], None
            if split == "train" and not subset.everything:
                drawn = self._drawn(subset, rows.labels, stored["labels"])
                if len(drawn) < SPARSE * len(rows):
                    rows, drawing = rows.take(drawn), self._drawing(subset)
            with cache.draft(_entry_key(key, split, drawing)) as (draft, entry):
                write(draft, self._shown(split, rows), rows.labels, rows.ids, self.tokenizer, self.max_length)
                entry |= {**record, "subset": drawing}
            count += len(rows)
        logger.info("tokenized %d rows in %.1f s", count, time.perf_counter() - start)

    def _require_classes(self, labels: Mapping[str, np.ndarray], names: Sequence[str] | None) -> None:
        """Refuses a published split that lacks a class; for a carved one the files are not to blame."""
        if names is None:
            return
        untrained = self.facts.untrained_among(names)
        require_classes(labels["train"], names, "train", IN_TRAIN, untrained=untrained)
        for split in () if self.facts.allow_absent else [name for name in self.source.splits if name != "train"]:
            require_classes(labels[split], names, split, ELSEWHERE, untrained=untrained)

    def _drawing(self, subset: Subset) -> dict[str, Any]:
        """Returns everything that affects `_drawn`: part of the key of a subset that is tokenized alone."""
        return {**asdict(subset), "untrained": list(self.facts.untrained)}

    def _drawn(self, subset: Subset, labels: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
        return subset.rows(labels, names, untrained=self.facts.untrained_among(names or ()))

    def _shown(self, split: str, rows: Rows) -> Iterator[list[list[str]]]:
        with ProgressBar(what=f"Tokenizing {split}", total=len(rows), shown=self.progress, **ROWS) as done:
            for chunk in rows.texts():
                yield chunk
                done.update(len(chunk[0]))


def _entry_key(key: str, split: str, subset: Mapping[str, Any] | None = None) -> str:
    return cache_key({"tokens": key, "split": split, "subset": subset})


def _record(parts: Mapping[str, Rows], stored: dict[str, Any], dropped: int) -> dict[str, Any]:
    drops = {split: dict(reasons) for split, reasons in stored["drops"].items()}
    if dropped:
        drops.setdefault("train", {})["leaked"] = dropped
    sizes = {split: len(rows) for split, rows in parts.items()}
    return {**stored, "drops": drops, "sizes": sizes, "copies": leakage.report(parts)}
