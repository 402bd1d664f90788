"""Token ids of a split in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.data.rows.arrays import ArrayFile, map_array, write_array
from clsnorm.data.rows.columns import Column, Stored
from clsnorm.data.rows.selection import Selection
from clsnorm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TYPES = {"token_ids": np.int32, "segment_ids": np.uint8, "offsets": np.int64, "truncated": np.bool_}
LABELS = "labels.npy"
PIECE = 1 << 16  # rows that are looked at at once
SAMPLE = 1000  # rows that tell how much of a text the tokenizer knows


@dataclass(frozen=True)
class Tokens:
    """The token ids of all rows of a split, end to end.

    Attributes:
        token_ids: int32 ``(N,)``.
        segment_ids: uint8 ``(N,)``: 0 in the first text, 1 in the second.
        offsets: int64 ``(rows + 1,)``: row i is ``token_ids[offsets[i]:offsets[i + 1]]``.
        truncated: bool ``(rows,)``: whether the row had more tokens than are kept.
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
        """Maps what `write` wrote into memory: nothing is copied."""
        return cls(**{column.name: map_array(folder / f"{column.name}.npy") for column in fields(cls)})

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns of the tokens of ``rows``, end to end: where each stands, and its position in its row.

        Returns:
            int64 ``(N,)`` places in `token_ids`, int64 ``(N,)`` positions from 0, and the lengths of the rows.
        """
        first = self.offsets[rows]
        lengths = self.offsets[rows + 1] - first
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        return np.repeat(first, lengths) + positions, positions, lengths

    def digest(self, rows: Selection) -> bytes:
        """Returns the sha256 of tokens, labels and ids of ``rows``, the same wherever the rows came from."""
        digest = hashlib.sha256()
        for part in rows.pieces(PIECE):
            at, _, lengths = self.places(part)
            for column in (
                self.token_ids[at],
                self.segment_ids[at],
                lengths,
                self.labels[part],
                self.example_ids[part],
            ):
                digest.update(column.tobytes())
        return digest.digest()

    def truncated_rows(self, rows: Selection) -> int:
        """Returns how many of the ``rows`` had more tokens than are kept."""
        return sum(int(self.truncated[part].sum()) for part in rows.pieces(PIECE))

    def unknown_share(self, rows: Selection, tokenizer: PreTrainedTokenizerFast) -> float:
        """Returns the share of tokens unknown to the tokenizer, special ones aside, in a sample of the ``rows``."""
        sample = rows.rows(np.arange(0, len(rows), max(1, len(rows) // SAMPLE)))
        ids = [self.token_ids[self.offsets[row] : self.offsets[row + 1]] for row in sample]
        unknown = tokenizer.unk_token_id  # None: the tokenizer can spell anything
        special = [token for token in tokenizer.all_special_ids if token != unknown]
        found = np.concatenate([np.empty(0, np.int32), *ids])
        found = found[~np.isin(found, special)]
        return float((found == unknown).mean()) if len(found) and unknown is not None else 0.0


def write(
    folder: Path,
    texts: Iterable[list[list[str]]],
    labels: Column,
    example_ids: Column,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> None:
    """Tokenizes texts chunk by chunk into ``folder``, for `Tokens.load`.

    The tokenizer's own special tokens are added. A single text that is too long loses tokens at its end. Of a pair, the
    longer text loses its last token until both fit (``longest_first``).

    Args:
        folder: Where to write.
        texts: Chunks of rows: one list of texts, or two for pairs.
        labels: Of all rows.
        example_ids: Of all rows.
        tokenizer: A fast tokenizer.
        max_length: Tokens kept of a row, special tokens included.
    """
    numbered = "token_type_ids" in tokenizer.model_input_names
    end = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(ArrayFile(folder / f"{name}.npy", kind)) for name, kind in TYPES.items()}
        files["offsets"].append(np.zeros(1))
        for chunk in texts:
            encodings = _encode(chunk, tokenizer, max_length)
            ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int32)
            segments = chain.from_iterable(encoding.type_ids for encoding in encodings)
            files["token_ids"].append(ids)
            files["segment_ids"].append(np.fromiter(segments, np.uint8) if numbered else np.zeros(len(ids)))
            files["offsets"].append(end + np.cumsum([len(encoding) for encoding in encodings]))
            files["truncated"].append(np.array([bool(encoding.overflowing) for encoding in encodings]))
            end += len(ids)
    write_array(folder / LABELS, labels)
    write_array(folder / "example_ids.npy", example_ids)


def labels_in(folder: Path) -> Column:
    """Returns the labels of what `write` wrote to ``folder``."""
    return Stored(folder / LABELS)


def truncation_rule(*, pairs: bool) -> str:
    """Returns what loses tokens: the longer text of a pair, or the only one; as `tokenizers` names it."""
    return "longest_first" if pairs else "only_first"


def _encode(texts: Sequence[list[str]], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Sequence[Any]:
    """Returns what the tokenizer's own call makes, without the lists that it would also make of each row."""
    backend, rule = tokenizer.backend_tokenizer, truncation_rule(pairs=len(texts) == 2)
    backend.enable_truncation(max_length, strategy=rule, direction=tokenizer.truncation_side)
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend.encode_batch_fast(texts[0] if len(texts) == 1 else list(zip(*texts, strict=True)))


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
