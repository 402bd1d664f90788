"""Which class of the data each class of a run stands for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.evaluate.class_mapping import ClassMapping

LOGITS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


def test_classes_of_the_same_name_are_reordered_to_the_bit() -> None:
    mapping = ClassMapping.between(["a", "b", "c"], ["c", "a", "b"], {})
    assert torch.equal(mapping.apply(LOGITS), LOGITS[:, [2, 0, 1]])
    assert mapping.pairs == {"a": "a", "b": "b", "c": "c"}


def test_probabilities_of_classes_that_count_as_one_add_up() -> None:
    mapping = ClassMapping.between(["yes", "maybe", "no"], ["no", "not no"], {"yes": "not no", "maybe": "not no"})
    p = LOGITS.softmax(1)
    expected = torch.stack([p[:, 2], p[:, 0] + p[:, 1]], 1)
    torch.testing.assert_close(mapping.apply(LOGITS).softmax(1), expected)


def test_an_answer_that_does_not_count_leaves_its_share_to_the_others() -> None:
    mapping = ClassMapping.between(["bad", "so so", "good"], ["bad", "good"], {"so so": None})
    p = LOGITS.softmax(1)
    expected = p[:, [0, 2]] / p[:, [0, 2]].sum(1, keepdim=True)
    torch.testing.assert_close(mapping.apply(LOGITS).softmax(1), expected)
    assert mapping.pairs["so so"] is None


def test_undefined_logits_stay_undefined() -> None:
    broken = LOGITS.clone()
    broken[3, 1] = torch.nan
    mapped = ClassMapping.between(["a", "b", "c"], ["a", "b"], {"c": "b"}).apply(broken)
    assert torch.equal(mapped.isfinite().all(1), broken.isfinite().all(1))


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        (["a", "b"], {}, r"the data have no c\. Say .* 'classes=\{c: a\}'"),
        (["a", "b", "c", "d"], {}, "no class of the run counts as d"),
        (["a", "x", "y"], {"b": "x"}, "have no c and no class of the run counts as y"),
        (["a", "b"], {"d": "a"}, r"`classes`.* but got 'd'.*classes of the run"),
        (["a", "b"], {"c": "d"}, r"`classes\.c`.* but got 'd'.*classes of the data"),
        (["a", "b", "c"], {"a": None}, "counts as a"),
    ],
)
def test_classes_without_a_counterpart_are_refused(data: list[str], given: dict[Any, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClassMapping.between(["a", "b", "c"], data, given)
