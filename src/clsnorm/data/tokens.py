"""Token ids of a split in memory-mapped Arrow files, keyed by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from clsnorm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from clsnorm.data.rows import Split

CHUNK = 4096  # rows given to the tokenizer at once: enough for all its threads


@dataclass(frozen=True)
class Tokens:
    """The token ids of all rows of a split, end to end.

    Attributes:
        token_ids: int32 ``(N,)``.
        segment_ids: uint8 ``(N,)``: 0 in the first text, 1 in the second.
        offsets: int64 ``(rows + 1,)``: row i is ``token_ids[offsets[i]:offsets[i + 1]]``.
        labels: int64 or float32 ``(rows,)``.
        example_ids: int64 ``(rows,)``.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    example_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def save(self, path: Path) -> None:
        """Writes an Arrow IPC file of one record batch, so that reading needs no copy."""
        offsets = pa.array(self.offsets)
        columns = {
            "token_ids": pa.LargeListArray.from_arrays(offsets, pa.array(self.token_ids)),
            "segment_ids": pa.LargeListArray.from_arrays(offsets, pa.array(self.segment_ids)),
            "label": pa.array(self.labels),
            "example_id": pa.array(self.example_ids),
        }
        batch = pa.record_batch(columns)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Maps a file of `save` into memory."""
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        ids, segments = batch.column("token_ids"), batch.column("segment_ids")
        return cls(
            token_ids=ids.values.to_numpy(),
            segment_ids=segments.values.to_numpy(),
            offsets=ids.offsets.to_numpy(),
            labels=batch.column("label").to_numpy(),
            example_ids=batch.column("example_id").to_numpy(),
        )


def tokenize(split: Split, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Tokens, int]:
    """Tokenizes a split; returns the tokens and how many rows had to be cut to ``max_length``.

    Pairs lose tokens of the longer text first.
    """
    ids: list[np.ndarray] = []
    segments: list[np.ndarray] = []
    lengths: list[int] = []
    truncated = 0
    for start in range(0, len(split.labels), CHUNK):
        encodings = _encode([column[start : start + CHUNK] for column in split.texts], tokenizer, max_length)
        for encoding in encodings:
            ids.append(np.array(encoding.ids, dtype=np.int32))
            segments.append(np.array(encoding.type_ids, dtype=np.uint8))
            lengths.append(len(encoding.ids))
            truncated += bool(encoding.overflowing)
    tokens = Tokens(
        token_ids=np.concatenate(ids),
        segment_ids=np.concatenate(segments),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=split.labels,
        example_ids=split.ids,
    )
    if "token_type_ids" not in tokenizer.model_input_names:
        tokens.segment_ids[:] = 0
    return tokens, truncated


def _encode(texts: Sequence[list[str]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Sequence[Any]:
    rule = "longest_first" if len(texts) == 2 else "only_first"
    return tokenizer(*texts, truncation=rule, max_length=max_length, padding=False, verbose=False).encodings or []


def check_tokenizer(tokenizer: PreTrainedTokenizerFast, max_length: int, *, pairs: bool) -> None:
    """Raises InputError if the tokenizer is not a fast one, or cannot make ``max_length`` tokens."""
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"Expected a fast tokenizer, but got {type(tokenizer).__name__}. Take a model with one")
    special, most = tokenizer.num_special_tokens_to_add(pair=pairs), tokenizer.model_max_length
    if not special < max_length <= most:
        raise InputError(
            f"Expected argument `data.max_length` to be in [{special + 1}, {most}], but got {max_length}: the "
            f"tokenizer adds {special} tokens, and its model reads at most {most}"
        )


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Returns a sha256 of all that steers tokenization, and of nothing that a call changes (truncation, padding)."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content.pop("truncation", None)
    content.pop("padding", None)
    kept = [content, "token_type_ids" in tokenizer.model_input_names]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
