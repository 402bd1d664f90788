"""Requirements for a tokenizer and its tokens: above all, [CLS] comes first, where the embedding is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clsnorm.data.tokens.tokenization import Tokens, encoded
from clsnorm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ADVICE = "Use the tokenizer that the encoder was published with, or save one whose post-processor puts [CLS] first"
LENGTH = 16  # tokens of a text that is tried


def require_tokenizer(tokenizer: PreTrainedTokenizerFast, max_length: int, *, pairs: bool) -> None:
    """Raises InputError unless the tokenizer puts [CLS] first and its model reads ``max_length`` tokens."""
    require_cls_first(tokenizer, pairs=pairs)
    special, most = tokenizer.num_special_tokens_to_add(pair=pairs), tokenizer.model_max_length
    if not special < max_length <= most:
        raise InputError(
            f"Expected argument `data.max_length` to be in [{special + 1}, {most}], but got {max_length}: the "
            f"tokenizer adds {special} tokens, and its model reads at most {most}"
        )


def require_cls_first(tokenizer: PreTrainedTokenizerFast, *, pairs: bool) -> None:
    """Raises InputError unless the tokenizer is a fast one and puts [CLS] first in a text, or in a pair of texts."""
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"Expected a fast tokenizer, but got {type(tokenizer).__name__}. Use a model that has one")
    texts = ["a", "b"][: 1 + pairs]
    (encoding,) = next(encoded([[[text] for text in texts]], tokenizer, LENGTH))
    wanted, ids = cls_id(tokenizer), encoding.ids
    if wanted is None or ids[:1] != [wanted]:
        name = _name(tokenizer)
        found = "names no [CLS] token" if name is None else f"names {name!r}"
        raise InputError(
            f"Expected the tokenizer of {tokenizer.name_or_path!r} to put its [CLS] token first, where the embedding "
            f"is read, but it {found} and turns {' and '.join(map(repr, texts))} into {_shown(ids, tokenizer)}. "
            f"{ADVICE}"
        )


def require_rows_with_cls(tokens: Tokens, rows: np.ndarray, tokenizer: PreTrainedTokenizerFast, split: str) -> None:
    """Raises InputError unless all ``rows`` of a split begin with [CLS]."""
    other = tokens.rows_without(cls_id(tokenizer), rows)
    if len(other):
        first, end = tokens.offsets[other[0] : other[0] + 2]
        found = _shown(tokens.token_ids[first:end][:LENGTH].tolist(), tokenizer)
        raise InputError(
            f"Expected each row of {split} to begin with the [CLS] token {_name(tokenizer)!r}, where the embedding is "
            f"read, but {len(other)} of {len(rows)} do not, such as {found}. {ADVICE}"
        )


def cls_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Returns the id of the tokenizer's [CLS], or of its ``<s>`` if it names no [CLS]; None if it has neither."""
    named = tokenizer.bos_token_id if tokenizer.cls_token is None else tokenizer.cls_token_id
    return None if named == tokenizer.unk_token_id else named  # a name that is not a token counts as an unknown word


def _name(tokenizer: PreTrainedTokenizerFast) -> str | None:
    name: str | None = tokenizer.cls_token or tokenizer.bos_token
    return name


def _shown(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> str:
    return repr(" ".join(tokenizer.convert_ids_to_tokens(ids)))
