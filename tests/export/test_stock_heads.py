"""Stock heads hold the run's linear map, for each architecture, whatever the normalizer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from model_fixtures import CONFIGS

from clsnorm.batches import Batch
from clsnorm.errors import InputError
from clsnorm.export.stock_heads import HEADS, LinearMap, StockHead
from clsnorm.export.stock_model import stock_model
from clsnorm.model import Classifier, Encoder
from clsnorm.model.encoder.families import known_families
from clsnorm.normalizers import Standardize
from clsnorm.statistics import Moments

EAGER = ("mpnet", "deberta", "deberta-v2")
ROWS, LENGTH = 24, 10


def texts() -> Batch:
    ids = torch.randint(4, 60, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    return Batch(
        token_ids=ids,
        positions=torch.arange(LENGTH).expand(ROWS, LENGTH),
        segment_ids=torch.zeros_like(ids),
        lengths=torch.full((ROWS,), LENGTH),
        labels=torch.zeros(ROWS, dtype=torch.int64),
        example_ids=torch.arange(ROWS),
        global_size=ROWS,
    )


def classifier_of(path: str, family: str, *, outputs: int, tap: str = "hidden") -> Classifier:
    encoder = Encoder(path, tap=tap, attention="eager" if family in EAGER else "sdpa").eval()
    normalizer = Standardize(encoder.dim)
    moments = Moments(encoder.dim)
    with torch.no_grad():
        moments.update(encoder(texts()).cls)
    normalizer.calibrate(moments)
    return Classifier(encoder, normalizer, num_outputs=outputs, seed_init=0, init_std=1.0).eval()


def assert_equal_logits(classifier: Classifier, names: list[str] | None) -> None:
    batch = texts()
    model, construction = stock_model(classifier, names)
    with torch.no_grad():
        expected = classifier(batch).logits
        found = model(input_ids=batch.token_ids, attention_mask=torch.ones_like(batch.token_ids)).logits
    assert construction
    assert float((found - expected).abs().max()) <= 2e-6 * float(expected.max() - expected.min())


def test_each_family_has_a_head() -> None:
    assert set(HEADS) == set(known_families()) == set(CONFIGS)
    assert all(isinstance(head, StockHead) for head in HEADS.values())


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("outputs", [1, 3, 8])
def test_logits_are_those_of_the_run(tiny: Callable[..., str], family: str, outputs: int) -> None:
    assert_equal_logits(
        classifier_of(tiny(family), family, outputs=outputs), None if outputs == 1 else list("abcdefgh")[:outputs]
    )


@pytest.mark.parametrize("tap", ["pooler_pre", "pooler"])
@pytest.mark.parametrize("family", ["bert", "albert", "roberta", "mpnet"])
def test_taps_at_the_pooler(tiny: Callable[..., str], family: str, tap: str) -> None:
    assert_equal_logits(classifier_of(tiny(family), family, outputs=3, tap=tap), list("abc"))


def test_more_classes_than_dimensions(tiny: Callable[..., str]) -> None:
    names = [f"c{number}" for number in range(30)]
    for family in ("bert", "deberta"):
        assert_equal_logits(classifier_of(tiny(family), family, outputs=30), names)
    for family in ("distilbert", "electra", "modernbert"):
        with pytest.raises(InputError, match="30 classes need"):
            stock_model(classifier_of(tiny(family), family, outputs=30), names)


def test_large_logits_stay_exact(tiny: Callable[..., str]) -> None:
    classifier = classifier_of(tiny("bert"), "bert", outputs=3)
    with torch.no_grad():
        classifier.head.weight.mul_(1e4)  # type: ignore[union-attr,operator]
    assert_equal_logits(classifier, list("abc"))


def test_a_linear_map_is_set_to_rounding() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
    )
    model = BertForSequenceClassification(config).eval()
    draw = torch.Generator().manual_seed(0)
    linear = LinearMap(*(torch.randn(*size, generator=draw, dtype=torch.float64) for size in ((3, 8), (3,), (8,))))
    HEADS["bert"].fill(model, linear)
    x = torch.randn(50, 1, 8, generator=draw)
    with torch.no_grad():
        found = model.classifier(model.bert.pooler(x))
    torch.testing.assert_close(linear.offset, linear.bias - linear.weight @ linear.centre)
    torch.testing.assert_close(
        found.double(), (x[:, 0].double() - linear.centre) @ linear.weight.T + linear.bias, rtol=0, atol=2e-6
    )
