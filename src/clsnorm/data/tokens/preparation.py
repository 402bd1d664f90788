"""From a source to the tokens of all splits, through the caches of rows and of tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.data.rows import leakage, splits
from clsnorm.data.rows.arrangement import arrange, split_names
from clsnorm.data.rows.columns import Chosen, Column
from clsnorm.data.rows.labels import require_classes
from clsnorm.data.rows.parts import Part, Rows
from clsnorm.data.rows.progress import bar
from clsnorm.data.rows.selection import Selection
from clsnorm.data.rows.storage import store
from clsnorm.data.rows.subsets import Subset
from clsnorm.data.sources.source import Source
from clsnorm.data.tokens import tokenization as tokens
from clsnorm.data.tokens.cache import Cache, cache_key
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

# What can be done about a class that has no row.
IN_TRAIN = "take it out of data.labels, if it stands there, or name it in data.untrained"
ELSEWHERE = "set data.allow_absent=true"
SPARSE = 0.5  # a training subset smaller than this share of train is tokenized alone


@dataclass(frozen=True)
class Prepared:
    """The tokens of all splits.

    Attributes:
        tokens: Of each split; of train perhaps of a subset only.
        used: Of each split, which rows of its tokens are used.
        labels: Class names in the order of their ids; None for numbers.
        record: ``published``, ``drops``, ``sizes`` of the splits, ``copies``.
        content: Identifies what the source held.
    """

    tokens: dict[str, Tokens]
    used: dict[str, Selection]
    labels: list[str] | None
    record: dict[str, Any]
    content: str


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How the rows of one source are made ready.

    Rows are read once, into a cache of clean rows; splits and subsets are found from their labels and hashes; then the
    rows that are needed are tokenized, into a cache of tokens with an entry for each split.

    Args:
        source: Has the rows.
        root: Folder of published data sets.
        cache: Folder of the caches.
        regression: Whether labels are numbers.
        labels: Class names in the order of their ids; None: those of train, sorted.
        untrained: Classes that need no row.
        allow_absent: Whether splits of the source but train may lack other classes.
        sizes: Stated row counts of the published splits; what is missing or None is not checked.
        max_empty: Largest share of rows of a split with an empty text.
        drop_leaked: Whether rows of train that stand in another split are left out.
        tokenizer: A fast tokenizer.
        max_length: Tokens kept of a row.
        progress: Whether to show progress bars.
    """

    source: Source
    root: Path
    cache: Path
    regression: bool
    labels: Sequence[str] | None
    untrained: Sequence[str]
    allow_absent: bool
    sizes: Mapping[str, int | None]
    max_empty: float
    drop_leaked: bool
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    progress: bool

    def run(self, subset: Subset) -> Prepared:
        """Returns the tokens, from the caches as far as they have them.

        Raises:
            InputError: If the rows are faulty.
            Unavailable: If the source does not have them.
        """
        tokens.check_tokenizer(self.tokenizer, self.max_length, pairs=len(self.source.text) == 2)
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
        labels, names = {split: tokens.labels_in(folder) for split, (folder, _) in found.items()}, record["labels"]
        used = {split: Selection.everything(len(part)) for split, part in loaded.items()}
        if not record["subset"]:
            used["train"] = self._drawn(subset, labels["train"], names)
        self._require_classes({split: Chosen(column, used[split]) for split, column in labels.items()}, names)
        return Prepared(loaded, used, names, record, content)

    def _rows_key(self, content: str) -> str:
        reading = {"regression": self.regression, "labels": self.labels, "sizes": dict(self.sizes)}
        return cache_key({"content": content, "source": self.source.describe(), "empty": self.max_empty, **reading})

    def _tokens_key(self, rows_key: str) -> str:
        carving = [splits.SHARE, splits.AT_LEAST, splits.AT_MOST, splits.BINS, splits.SEEDS, self.drop_leaked]
        spelling = [tokens.tokenizer_fingerprint(self.tokenizer), self.max_length]
        return cache_key({"rows": rows_key, "carving": carving, "spelling": spelling})

    def _find(self, cache: Cache, key: str, subset: Subset) -> dict[str, tuple[Path, dict[str, Any]] | None]:
        """Returns the entry of each split; of train, one of all rows is preferred to one of the subset."""
        found = {split: cache.get(_entry_key(key, split)) for split in split_names(self.source.splits)}
        if found["train"] is None and not subset.everything:
            found["train"] = cache.get(_entry_key(key, "train", self._drawing(subset)))
        return found

    def _rows(self, key: str, content: str) -> tuple[Path, dict[str, Any]]:
        cache = Cache(self.cache / "rows")
        entry = cache.get(key)
        if entry is None:
            start = time.perf_counter()
            with cache.draft(key) as (folder, record):
                record |= store(
                    self.source,
                    self.root,
                    folder,
                    regression=self.regression,
                    labels=self.labels,
                    sizes=self.sizes,
                    max_empty=self.max_empty,
                    progress=self.progress,
                )
                self._require_unchanged(content)
            logger.info("read %d rows in %.1f s", sum(record["published"].values()), time.perf_counter() - start)
            entry = cache.get(key)
        if entry is None:
            raise RuntimeError(f"the rows just written to {cache.folder} cannot be read back")
        return entry

    def _require_unchanged(self, content: str) -> None:
        if self.source.fingerprint(self.root) != content:
            where = ", ".join(dict.fromkeys(self.source.location(self.root, split) for split in self.source.splits))
            raise InputError(f"Expected {where} to stay as it is while it is read, but it changed. Start again")

    def _tokenize(
        self, missing: Iterable[str], folder: Path, stored: dict[str, Any], cache: Cache, key: str, subset: Subset
    ) -> None:
        """Writes entries for the ``missing`` splits."""
        start, count = time.perf_counter(), 0
        parts, dropped = arrange({s: Rows(folder, s) for s in self.source.splits}, drop_leaked=self.drop_leaked)
        self._require_classes({split: part.column("labels") for split, part in parts.items()}, stored["labels"])
        record = _record(parts, stored, dropped)
        for split in missing:
            part, alone = parts[split], None
            if split == "train" and not subset.everything:
                kept = self._drawn(subset, part.column("labels"), stored["labels"])
                if len(kept) < SPARSE * len(part):
                    part, alone = part.only(kept.numbers()), self._drawing(subset)
            with cache.draft(_entry_key(key, split, alone)) as (draft, entry):
                texts, labels, ids = self._shown(split, part), part.column("labels"), part.column("ids")
                tokens.write(draft, texts, labels, ids, self.tokenizer, self.max_length)
                entry |= {**record, "subset": alone}
            count += len(part)
        logger.info("tokenized %d rows in %.1f s", count, time.perf_counter() - start)

    def _require_classes(self, labels: Mapping[str, Column], names: Sequence[str] | None) -> None:
        """Refuses a split that lacks a class; one that was carved from train is no fault of the files."""
        if names is None:
            return
        require_classes(labels["train"], names, "train", IN_TRAIN, untrained=self.untrained)
        for split in () if self.allow_absent else [name for name in self.source.splits if name != "train"]:
            require_classes(labels[split], names, split, ELSEWHERE, untrained=self.untrained)

    def _drawing(self, subset: Subset) -> dict[str, Any]:
        """Returns all that steers `_drawn`: a part of the key of a subset that is tokenized alone."""
        return {**asdict(subset), "untrained": list(self.untrained)}

    def _drawn(self, subset: Subset, labels: Column, names: Sequence[str] | None) -> Selection:
        return subset.rows(labels, names, untrained=self.untrained)

    def _shown(self, split: str, part: Part) -> Iterator[list[list[str]]]:
        with bar(f"Tokenizing {split}", lambda: len(part), shown=self.progress) as done:
            for chunk in part.texts():
                yield chunk
                done.update(len(chunk[0]))


def _entry_key(key: str, split: str, subset: Mapping[str, Any] | None = None) -> str:
    return cache_key({"tokens": key, "split": split, "subset": subset})


def _record(parts: Mapping[str, Part], stored: dict[str, Any], dropped: int) -> dict[str, Any]:
    drops = {split: dict(reasons) for split, reasons in stored["drops"].items()}
    if dropped:
        drops.setdefault("train", {})["leaked"] = dropped
    sizes = {split: len(part) for split, part in parts.items()}
    return {**stored, "drops": drops, "sizes": sizes, "copies": leakage.report(parts)}
