"""Norms by part against a loop over parameters."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from clsnorm.gradients import ParameterNorms, depth_profile, part_names
from clsnorm.model import Classifier, Encoder
from clsnorm.normalizers import LayerNorm


@pytest.fixture(scope="module")
def classifier(tiny_bert: Path) -> nn.Module:
    encoder = Encoder(str(tiny_bert), tap="pooler", attention="sdpa", last_layer_cls_only=True, seed_init=0)
    return Classifier(encoder, LayerNorm(encoder.dim), num_outputs=2, seed_init=0)


def test_every_parameter_belongs_to_one_part(classifier: nn.Module) -> None:
    parts = part_names(name for name, _ in classifier.named_parameters())
    assert set(parts.values()) == {
        "embeddings", "head", "normalizer", "pooler",
        "layer01/attention", "layer01/ffn", "layer01/norm",
        "layer02/attention", "layer02/ffn", "layer02/norm",
    }  # fmt: skip
    for name, part in parts.items():
        if "LayerNorm" in name and ".layer." in name:
            assert part.endswith("/norm"), name
        if ".attention." in name and "LayerNorm" not in name:
            assert part.endswith("/attention"), name
        if ".layer.0." in name:
            assert part.startswith("layer01/"), name


@pytest.mark.parametrize("kind", ["distilbert", "modernbert", "mpnet", "deberta-v2", "electra", "roberta"])
def test_each_family_has_attention_ffn_and_norms(kind: str) -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 2}
    own = {"dim": 8, "n_heads": 2, "hidden_dim": 16, "n_layers": 2} if kind == "distilbert" else sizes
    model = AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=20, pad_token_id=0, **own))
    parts = set(part_names(f"encoder.model.{name}" for name, _ in model.named_parameters()).values())
    for layer in ("layer01", "layer02"):
        kinds = {part.partition("/")[2] for part in parts if part.startswith(layer)}
        assert kinds >= {"attention", "ffn"}, (kind, parts)
    assert any(part.endswith("/norm") for part in parts)
    assert "embeddings" in parts


def by_hand(classifier: nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, float]:
    parts = part_names(name for name, _ in classifier.named_parameters())
    squares: dict[str, float] = {}
    for name, tensor in tensors.items():
        squares[parts[name]] = squares.get(parts[name], 0.0) + float(tensor.double().square().sum())
    squares["total"] = sum(squares.values())
    within = "encoder.model.encoder.layer.1.output.LayerNorm"
    body = [t for name, t in tensors.items() if name.startswith("encoder.") and not name.startswith(within)]
    squares["body"] = sum(float(tensor.double().square().sum()) for tensor in body)
    return {part: math.sqrt(square) for part, square in squares.items()}


def test_norms_equal_those_of_a_loop(classifier: nn.Module) -> None:
    norms = ParameterNorms(classifier, classifier.encoder.output_norm())
    draw = torch.Generator().manual_seed(0)
    for parameter in classifier.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw)
    classifier.head.bias.grad = None
    gradients = {name: p.grad for name, p in classifier.named_parameters() if p.grad is not None}
    weights = {name: p.detach().clone() for name, p in classifier.named_parameters()}
    assert norms.by_name(norms.of_gradients()) == pytest.approx(by_hand(classifier, gradients), rel=1e-4)
    assert norms.by_name(norms.of_weights()) == pytest.approx(by_hand(classifier, weights), rel=1e-4)
    for factor in (1.5, 2.0):  # the same memory twice
        weights = {name: p.detach().clone() for name, p in classifier.named_parameters()}
        norms.keep_weights()
        with torch.no_grad():
            for parameter in classifier.parameters():
                parameter.mul_(factor)
        expected = {part: norm * (factor - 1) for part, norm in by_hand(classifier, weights).items()}
        assert norms.by_name(norms.of_updates()) == pytest.approx(expected, rel=1e-4)


def test_depth_profile_of_a_geometric_decay() -> None:
    norms = {"embeddings": 9.0, "head": 7.0}
    for layer in range(1, 5):
        norms |= {f"layer{layer:02d}/attention": 3.0 * 2.0**layer, f"layer{layer:02d}/ffn": 4.0 * 2.0**layer}
    found = depth_profile(norms)
    assert found["bottom_to_top"] == pytest.approx(1 / 8)
    assert found["log_slope"] == pytest.approx(math.log(2))
    alone = depth_profile({"layer01/ffn": 2.0})
    assert alone.pop("bottom") == 2.0
    assert all(math.isnan(value) for value in alone.values())


def test_depth_profile_of_vanished_gradients() -> None:
    found = depth_profile({"layer01/ffn": 0.0, "layer02/ffn": 3.0})
    assert (found["bottom"], found["bottom_to_top"]) == (0.0, 0.0)
    assert math.isnan(found["log_slope"])
    assert math.isnan(depth_profile({"layer01/ffn": 0.0, "layer02/ffn": 0.0})["bottom_to_top"])
