"""`Corpus`: the training texts of data sets, tokenized, and texts that are held out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.cache import Cache
from clsnorm.config import CONF, instantiate
from clsnorm.config.choices import resolve_option
from clsnorm.data import DataModule
from clsnorm.data.listing import composed
from clsnorm.data.rows.splits import shuffled
from clsnorm.data.tokens.sampling import GlobalBatches
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError, require_choice
from clsnorm.pretraining.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)
HELD_OUT = 200  # texts of a data set on which the loss is measured
POOL = 50  # batches within which texts are sorted by length


@dataclass(frozen=True)
class Corpus:
    """Tokenized texts.

    Attributes:
        train: Texts to learn from; none of them occurs in another split of any of the data sets.
        held_out: Texts of the select splits.
        rows: Training texts that each data set contributes.
        left_out: Why a data set contributes none.
    """

    train: Tokens
    held_out: Tokens
    rows: dict[str, int]
    left_out: dict[str, str]


class SimilarLengths(GlobalBatches):
    """Batches of texts of similar length in random order: little padding, and the same batches for the same seed.

    Args:
        lengths: int64 ``(rows,)``: tokens of each text.
        batch_size: Texts of a batch.
        seed: Of the order.
    """

    def __init__(self, lengths: np.ndarray, *, batch_size: int, seed: int) -> None:
        super().__init__(len(lengths), batch_size=batch_size, seed=seed)
        self.lengths = lengths

    def order(self) -> np.ndarray:
        """Returns the order of the rows in this epoch: sorted by length within pools, whole batches then shuffled."""
        order, pool = super().order(), POOL * self.batch_size
        pools = [order[start : start + pool] for start in range(0, self.size, pool)]
        by_length = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in pools])
        whole = self.size // self.batch_size
        batches = by_length[: whole * self.batch_size].reshape(whole, self.batch_size)
        drawn = batches[shuffled(whole, self.seed or 0, self.epoch, 1)]
        return np.concatenate([drawn.ravel(), by_length[drawn.size :]])


def read_corpus(
    names: Sequence[str], recipe: Recipe, *, tokenizer: PreTrainedTokenizerFast, paths: Mapping[str, str]
) -> Corpus:
    """Reads the training texts of data sets.

    A text counts once, and not at all if the same text is in the select or report split of any of the sets: scores on
    those splits then describe unseen texts. Texts are compared by their first ``max_length`` tokens.

    Args:
        names: Data sets; none: all whose rows can be read.
        recipe: Says how long texts are, how many a set contributes and how many unknown tokens it may have.
        tokenizer: That of the model.
        paths: ``data`` and ``cache``.

    Raises:
        InputError: If a name is no data set, if a named one cannot be read, or if no text is left.
    """
    options = {name: node for name, _, node in composed(CONF, Cache(Path(paths["cache"]) / "listing"))}
    for name in names:
        require_choice("--sets", name, sorted(options))
    parts, left_out = {}, {}
    for name in names or options:
        try:
            data = _read(options[name], recipe, tokenizer, paths)
        except InputError as error:
            if names:
                raise
            left_out[name] = str(error)
            continue
        if (unknown := _unknown_share(data, tokenizer)) > recipe.max_unknown:
            left_out[name] = f"{unknown:.1%} of its tokens are unknown to the tokenizer"
            log.info("%s is left out: %s", name, left_out[name])
        else:
            parts[name] = data
    return _joined(parts, recipe, left_out)


def _read(
    node: Mapping[str, Any], recipe: Recipe, tokenizer: PreTrainedTokenizerFast, paths: Mapping[str, str]
) -> DataModule:
    plain = {**resolve_option("data", node, paths), "max_length": recipe.max_length, "packed": False}
    data: DataModule = instantiate(plain, "data", tokenizer=tokenizer, seed_order=0, seed_subset=0, seed_noise=0)
    data.prepare()
    return data


def _unknown_share(data: DataModule, tokenizer: PreTrainedTokenizerFast) -> float:
    tokens = data.tokens_of("train")
    return tokens.unknown_share(np.arange(len(tokens)), tokenizer)


def _joined(parts: Mapping[str, DataModule], recipe: Recipe, left_out: dict[str, str]) -> Corpus:
    seen = {key for data in parts.values() for split in data.splits[1:] for key in _keys(data.tokens_of(split))}
    train, rows = [], {}
    for name, data in parts.items():
        tokens = data.tokens_of("train")
        firsts: dict[bytes, int] = {}
        for row, key in enumerate(_keys(tokens)):
            firsts.setdefault(key, row)
        fresh = [row for key, row in firsts.items() if key not in seen]
        seen |= firsts.keys()
        drawn = np.array(fresh, np.int64)[shuffled(len(fresh), recipe.seed)][: recipe.rows_per_set]
        train.append(tokens.take(drawn))
        rows[name] = len(drawn)
    if not sum(rows.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"Found no training text. Give other names with --sets, or paths.data=FOLDER. {reasons}")
    held_out = [data.tokens_of("select") for data in parts.values()]
    few = [tokens.take(np.sort(shuffled(len(tokens), recipe.seed)[:HELD_OUT])) for tokens in held_out]
    return Corpus(Tokens.join(train), Tokens.join(few), rows, left_out)


def _keys(tokens: Tokens) -> list[bytes]:
    """Returns the token ids of each row as bytes."""
    ids, offsets = np.asarray(tokens.token_ids), tokens.offsets.tolist()
    return [ids[start:stop].tobytes() for start, stop in itertools.pairwise(offsets)]
