"""Token ids of a split in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.tensor_files import save_array

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAPPED: dict[str, np.dtype] = {"token_ids": np.dtype(np.int32), "segment_ids": np.dtype(np.uint8)}  # in raw files
PIECE = 1 << 16  # rows that `digest` hashes at once
SAMPLE = 1000  # rows from which the share of unknown tokens is estimated


@dataclass(frozen=True)
class Tokens:
    """The token ids of all rows of a split, end to end.

    Attributes:
        token_ids: int32 ``(N,)``.
        segment_ids: uint8 ``(N,)``: 0 in the first text, 1 in the second.
        offsets: int64 ``(rows + 1,)``: row i is ``token_ids[offsets[i]:offsets[i + 1]]``.
        truncated: bool ``(rows,)``: whether the row lost tokens to ``max_length``.
        labels: int64 or float32 ``(rows,)``.
        example_ids: int64 ``(rows,)``.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    offsets: np.ndarray
    truncated: np.ndarray
    labels: np.ndarray
    example_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def load(cls, folder: Path) -> Tokens:
        """Maps the files of `write` into memory without copying them."""
        return cls(**{column.name: _map(folder, column.name) for column in fields(cls)})

    @classmethod
    def join(cls, parts: Sequence[Tokens]) -> Tokens:
        """Returns the rows of all ``parts``, one part after the other."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("token_ids", "segment_ids", "truncated", "labels", "example_ids")
        }
        lengths = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)])
        return cls(**columns, offsets=np.cumsum(lengths))

    def take(self, rows: np.ndarray) -> Tokens:
        """Returns only ``rows``, in their order."""
        at, _, lengths = self.locate(rows)
        return Tokens(
            token_ids=np.asarray(self.token_ids[at]),
            segment_ids=np.asarray(self.segment_ids[at]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            truncated=self.truncated[rows],
            labels=self.labels[rows],
            example_ids=self.example_ids[rows],
        )

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns where the tokens of ``rows`` are, row after row.

        Returns:
            int64 ``(N,)`` indices into `token_ids`, int64 ``(N,)`` positions from 0 in each row, and the lengths of the
            rows.
        """
        first = self.offsets[rows]
        lengths = self.offsets[rows + 1] - first
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        return np.repeat(first, lengths) + positions, positions, lengths

    def digest(self, rows: np.ndarray) -> bytes:
        """Returns the sha256 of tokens, labels and ids of ``rows``; it does not depend on where they came from."""
        return self._digest(rows, self.labels, self.example_ids)

    def text_digest(self, rows: np.ndarray) -> bytes:
        """Returns the sha256 of the tokens of ``rows``, as `digest`, but without labels and ids."""
        return self._digest(rows)

    def _digest(self, rows: np.ndarray, *numbers: np.ndarray) -> bytes:
        digest = hashlib.sha256()
        for start in range(0, len(rows), PIECE):
            part = rows[start : start + PIECE]
            at, _, lengths = self.locate(part)
            for column in (self.token_ids[at], self.segment_ids[at], lengths, *(column[part] for column in numbers)):
                digest.update(column.tobytes())
        return digest.digest()

    def rows_without(self, first: int | None, rows: np.ndarray) -> np.ndarray:
        """Returns which of ``rows`` do not begin with the token ``first``."""
        other = [np.empty(0, rows.dtype)]
        for start in range(0, len(rows), PIECE):
            part = rows[start : start + PIECE]
            begin, filled = self.offsets[part], self.offsets[part] < self.offsets[part + 1]
            right = np.zeros(len(part), np.bool_)
            right[filled] = self.token_ids[begin[filled]] == first
            other.append(part[~right])
        return np.concatenate(other)

    def unknown_share(self, rows: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> float:
        """Returns the share of tokens unknown to the tokenizer, special ones excluded, in a sample of the ``rows``."""
        sample = rows[:: max(1, len(rows) // SAMPLE)]
        ids = [self.token_ids[self.offsets[row] : self.offsets[row + 1]] for row in sample]
        unknown = tokenizer.unk_token_id  # None: the tokenizer can spell anything
        special = [token for token in tokenizer.all_special_ids if token != unknown]
        found = np.concatenate([np.empty(0, np.int32), *ids])
        found = found[~np.isin(found, special)]
        return float((found == unknown).mean()) if len(found) and unknown is not None else 0.0


def _map(folder: Path, name: str) -> np.ndarray:
    if name not in MAPPED:
        return np.load(folder / f"{name}.npy", mmap_mode="r")
    path, dtype = folder / name, MAPPED[name]
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)  # mmap refuses empty files


def write(
    folder: Path,
    texts: Iterable[list[list[str]]],
    labels: np.ndarray,
    example_ids: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> None:
    """Tokenizes texts chunk by chunk into ``folder``, for `Tokens.load`.

    The tokenizer's special tokens are added. A single text that is too long loses tokens at its end. Of a pair, the
    longer text loses its last token until both fit (``longest_first``).

    Args:
        folder: Where to write.
        texts: Chunks of rows: one list of texts, or two for pairs.
        labels: Of all rows.
        example_ids: Of all rows.
        tokenizer: A fast tokenizer.
        max_length: Tokens kept of a row, special tokens included.
    """
    lengths, truncated = [np.zeros(1, np.int64)], [np.empty(0, np.bool_)]
    with (folder / "token_ids").open("wb") as token_ids, (folder / "segment_ids").open("wb") as segment_ids:
        for encodings in encoded(texts, tokenizer, max_length):
            token_ids.write(_ids(encodings).tobytes())
            segment_ids.write(_segments(encodings, tokenizer).tobytes())
            lengths.append(np.array([len(encoding) for encoding in encodings]))
            truncated.append(np.array([bool(encoding.overflowing) for encoding in encodings]))
    save_array(folder / "offsets.npy", np.cumsum(np.concatenate(lengths)))
    save_array(folder / "truncated.npy", np.concatenate(truncated))
    save_array(folder / "labels.npy", labels)
    save_array(folder / "example_ids.npy", example_ids)


def tokenized(columns: list[list[str]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Tokens:
    """Returns the tokens of texts in memory, as `write` would write them; the labels are 0.

    Args:
        columns: One list of texts, or two for pairs.
        tokenizer: A fast tokenizer.
        max_length: Tokens kept of a row, special tokens included.
    """
    (encodings,) = encoded([columns], tokenizer, max_length)
    rows = len(encodings)
    return Tokens(
        token_ids=_ids(encodings),
        segment_ids=_segments(encodings, tokenizer),
        offsets=np.cumsum([0, *map(len, encodings)]),
        truncated=np.array([bool(encoding.overflowing) for encoding in encodings], np.bool_),
        labels=np.zeros(rows, np.int64),
        example_ids=np.arange(rows),
    )


def truncation_rule(*, pairs: bool) -> str:
    """Returns which text loses tokens, the longer of a pair or the only one, by its name in `tokenizers`."""
    return "longest_first" if pairs else "only_first"


def encoded(
    texts: Iterable[list[list[str]]], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Iterator[Sequence[Any]]:
    """Yields the encodings of each chunk, without the lists that the tokenizer's own call would build of each row."""
    backend = tokenizer.backend_tokenizer
    for chunk in texts:
        rule = truncation_rule(pairs=len(chunk) == 2)
        backend.enable_truncation(max_length, strategy=rule, direction=tokenizer.truncation_side)
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        yield backend.encode_batch_fast(chunk[0] if len(chunk) == 1 else list(zip(*chunk, strict=True)))


def _ids(encodings: Sequence[Any]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), MAPPED["token_ids"])


def _segments(encodings: Sequence[Any], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Returns the segment of each token; 0 where the model knows no segments."""
    if "token_type_ids" not in tokenizer.model_input_names:
        return np.zeros(sum(map(len, encodings)), MAPPED["segment_ids"])
    return np.fromiter(chain.from_iterable(encoding.type_ids for encoding in encodings), MAPPED["segment_ids"])


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Returns a sha256 of all that affects tokenization, but for what each call sets (truncation, padding)."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content.pop("truncation", None)
    content.pop("padding", None)
    parts = [content, "token_type_ids" in tokenizer.model_input_names]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
