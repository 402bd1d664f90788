"""Gradients at tokens against autograd on the hidden states of transformers, for each family and layout of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from clsnorm.batches import Batch
from clsnorm.gradients import TokenGradients
from clsnorm.model import Encoder
from clsnorm.model.encoder.families import last_norm

LENGTHS = [7, 19, 1, 12]
PACKABLE = ["bert", "electra", "albert", "distilbert", "modernbert"]
CASES = [(f, p) for f in [*PACKABLE, "roberta", "mpnet", "deberta-v2"] for p in (False, True) if not p or f in PACKABLE]
Measured = tuple[dict[str, float], list[Tensor]]


def build(folder: str, family: str, **options: Any) -> Encoder:
    return Encoder(folder, attention="sdpa" if family in PACKABLE else "eager", dropout=0.0, **options)


def measured(encoder: Encoder, batches: list[Batch], *, layers: bool = True, factor: float = 1.0) -> Measured:
    below: list[Tensor] = []
    tokens = TokenGradients(encoder, below.append)
    for batch in batches:
        tokens.start(batch, lambda: factor, layers=layers)
        encoder(batch).cls.square().sum().backward()
        tokens.end()
    encoder(batches[0]).cls.sum().backward()  # not in a training step
    found = tokens.numbers(tokens.take_sums())
    tokens.remove()
    return found, below


def reference(folder: str, family: str, batch: Batch) -> tuple[list[Tensor], Tensor]:
    """Gradients at the hidden states, ``(B, T, d)`` each, and below the last norm at [CLS]."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    inputs = {"input_ids": batch.token_ids, "attention_mask": batch.mask.long()}
    if family in ("bert", "electra", "albert"):
        inputs["token_type_ids"] = batch.segment_ids
    norm, seen = last_norm(model), []
    assert norm is not None
    norm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = model(**inputs, output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    loss = output.last_hidden_state[:, 0].square().sum()
    *gradients, below = torch.autograd.grad(loss, [*states, seen[-1]])
    return list(gradients), below[:, 0]


@pytest.mark.parametrize(("family", "packed"), CASES)
def test_numbers_are_those_of_autograd(
    family: str, packed: bool, tiny: Callable[..., str], make_batch: Callable[..., Batch]
) -> None:
    found, (below,) = measured(build(tiny(family), family), [make_batch(LENGTHS, packed=packed)])
    states, expected_below = reference(tiny(family), family, make_batch(LENGTHS))
    torch.testing.assert_close(below, expected_below, atol=1e-4, rtol=1e-3)
    assert len(found) == 2 * 3 + 1
    for number, gradient in enumerate(states):
        norms = gradient.double().norm(dim=-1)
        at_cls = float(norms[:, 0].square().mean().sqrt())
        assert found[f"grad/layer{number:02d}/cls"] == pytest.approx(at_cls, rel=1e-3)
        if number < 3:
            others = math.sqrt(float(norms[:, 1:].square().sum()) / (sum(LENGTHS) - len(LENGTHS)))
            assert found[f"grad/layer{number:02d}/cls_to_others"] == pytest.approx(at_cls / others, rel=1e-3)


def test_batches_of_a_step_add_up_and_empty_parts_add_nothing(
    tiny: Callable[..., str], make_batch: Callable[..., Batch]
) -> None:
    encoder = build(tiny("bert"), "bert")
    whole, (rows,) = measured(encoder, [make_batch(LENGTHS)])
    parts, twice = measured(encoder, [make_batch(LENGTHS), make_batch([]), make_batch(LENGTHS, packed=True)])
    assert parts == pytest.approx(whole, rel=1e-4)
    assert [len(part) for part in twice] == [4, 4]
    scaled, (larger,) = measured(encoder, [make_batch(LENGTHS)], factor=8.0)
    torch.testing.assert_close(larger, 8 * rows)
    assert scaled["grad/layer01/cls"] == pytest.approx(8 * whole["grad/layer01/cls"])
    assert measured(encoder, [make_batch([])]) == ({}, [])


def test_layers_are_measured_only_if_wanted_and_the_pooler_hides_no_norm(
    tiny: Callable[..., str], make_batch: Callable[..., Batch]
) -> None:
    encoder = build(tiny("bert"), "bert", tap="pooler")
    found, below = measured(encoder, [make_batch(LENGTHS)], layers=False)
    assert found == {}
    assert [len(part) for part in below] == [4]
    assert measured(encoder, [make_batch(LENGTHS)])[0].keys() == {
        *(f"grad/layer{n:02d}/{kind}" for n in range(3) for kind in ("cls", "cls_to_others")),
        "grad/layer03/cls",
    }
