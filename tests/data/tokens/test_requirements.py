"""[CLS] comes first in each text and each pair, or the tokenizer is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from clsnorm.data.tokens import preparation
from clsnorm.data.tokens.requirements import require_cls_first, require_tokenizer
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError

NAMES = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
CLS = NAMES | {"cls_token": "[CLS]"}
SOUND = ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
IDS = {"[CLS]": 101, "[SEP]": 102, "[unused5]": 6}


@pytest.fixture
def processed(tokenizer: Any) -> Callable[..., Any]:
    """Returns a function from a post-processor's templates, and named tokens, to the embedded tokenizer with them."""

    def processed(templates: tuple[str, str] | None, **options: Any) -> Any:
        content = json.loads(tokenizer.backend_tokenizer.to_str()) | {"post_processor": None}
        backend = Tokenizer.from_str(json.dumps(content))
        if templates is not None:
            special = [(token, number) for token, number in IDS.items() if token in " ".join(templates)]
            backend.post_processor = TemplateProcessing(single=templates[0], pair=templates[1], special_tokens=special)
        return PreTrainedTokenizerFast(tokenizer_object=backend, **options)

    return processed


@pytest.mark.parametrize(
    ("templates", "options", "pairs", "found"),
    [
        (None, CLS, False, r"names '\[CLS\]' and turns 'a' into 'a'"),
        (("$A [SEP] [CLS]", "$A [SEP] $B [SEP] [CLS]"), CLS, False, r"turns 'a' into 'a \[SEP\] \[CLS\]'"),
        (("[CLS] $A", "$A [CLS] $B"), CLS, True, r"turns 'a' and 'b' into 'a \[CLS\] b'"),
        (SOUND, NAMES, False, r"names no \[CLS\] token and turns 'a' into '\[CLS\] a \[SEP\]'"),
        (("[unused5] $A", "[unused5] $A $B"), CLS | {"bos_token": "[unused5]"}, False, r"names '\[CLS\]'"),
    ],
)
def test_a_tokenizer_with_another_first_token_is_refused(
    processed: Callable[..., Any], templates: Any, options: dict[str, str], pairs: bool, found: str
) -> None:
    with pytest.raises(InputError, match=rf"\[CLS\] token first.*{found}") as caught:
        require_cls_first(processed(templates, **options), pairs=pairs)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_token_is_refused(processed: Callable[..., Any]) -> None:
    """An unknown word would have the same id as such a [CLS]."""
    tokenizer = processed(None, unk_token="a", cls_token="a")
    with pytest.raises(InputError, match=r"\[CLS\] token first"):
        require_cls_first(tokenizer, pairs=False)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        CLS,
        CLS | {"bos_token": "[CLS]"},  # as in RoBERTa, where both are <s>
        NAMES | {"bos_token": "[CLS]"},  # <s> alone
        CLS | {"padding_side": "left", "truncation_side": "left"},
    ],
)
def test_a_tokenizer_with_cls_first_is_taken(
    processed: Callable[..., Any], options: dict[str, str], pairs: bool
) -> None:
    require_tokenizer(processed(SOUND, model_max_length=64, **options), 8, pairs=pairs)


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match="a fast tokenizer, but got object"):
        require_cls_first(object(), pairs=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "side"), [("text", "right"), ("text", "left"), (["text", "other"], "left")])
def test_rows_that_are_truncated_begin_with_cls(
    processed: Callable[..., Any], user_files: Callable[..., Any], tmp_path: Path, text: Any, side: str
) -> None:
    rows = [f"{'word ' * (i % 30)}{i}\t{'more ' * (i % 7)}\t{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "train.tsv").write_text("text\tother\tlabel\n" + "\n".join(rows) + "\n")
    data = user_files(
        tmp_path / "train.tsv", tokenizer=processed(SOUND, truncation_side=side, **CLS), text=text, max_empty=1.0
    )
    data.prepare()
    batch = next(iter(data.train_dataloader()))
    assert (batch.token_ids[0, batch.starts] == IDS["[CLS]"]).all()


def test_tokens_that_an_earlier_version_cached_are_refused(
    processed: Callable[..., Any], user_files: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"text {i}\t{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")

    def prepare() -> None:
        user_files(tmp_path / "train.tsv", tokenizer=processed(None, **CLS)).prepare()

    with monkeypatch.context() as earlier:
        earlier.setattr(preparation, "require_tokenizer", lambda *_, **__: None)
        earlier.setattr(preparation, "require_rows_with_cls", lambda *_: None)
        prepare()
    entries = list((tmp_path / "cache" / "tokens").iterdir())
    with pytest.raises(InputError, match=r"\[CLS\] token first"):
        prepare()
    monkeypatch.setattr(preparation, "require_tokenizer", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"each row of train to begin with .* token '\[CLS\]'.*such as 'text \d+'"):
        prepare()
    assert list((tmp_path / "cache" / "tokens").iterdir()) == entries


@given(rows=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=30), first=st.integers(0, 3))
def test_rows_without_a_first_token(rows: list[list[int]], first: int) -> None:
    ids = np.array([token for row in rows for token in row], np.int32)
    offsets = np.cumsum([0, *map(len, rows)])
    none = np.zeros(len(rows), np.int64)
    tokens = Tokens(ids, ids.astype(np.uint8), offsets, none.astype(bool), none, none)
    chosen = np.arange(0, len(rows), 2)
    assert tokens.rows_without(first, chosen).tolist() == [row for row in chosen if rows[row][:1] != [first]]
    assert tokens.rows_without(None, chosen).tolist() == chosen.tolist()
