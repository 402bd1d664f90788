"""Sharding a classifier changes nothing else about it; runs of two processes are tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from clsnorm.batches import Batch
from clsnorm.model import Classifier, Encoder, Output
from clsnorm.model.sharding import FullyShardedStrategy, shard
from clsnorm.normalizers import LayerNorm

FAMILIES = ["bert", "roberta", "electra", "albert", "distilbert", "modernbert", "mpnet", "deberta-v2"]


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """A process group of this process only."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def step(classifier: Classifier, batch: Batch) -> tuple[Output, dict[str, Tensor]]:
    """Returns the outputs and the gradients of one backward pass."""
    classifier.zero_grad()
    output = classifier(batch)
    output.logits.square().sum().backward()
    found = {name: p.grad for name, p in classifier.named_parameters() if p.grad is not None}
    return output, {name: whole(gradient).clone() for name, gradient in found.items()}


def whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value.detach()


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_sharding_units_and_outputs_and_gradients_stay_equal(
    family: str, tiny: Callable[..., str], make_batch: Callable[..., Batch], mesh: DeviceMesh
) -> None:
    encoder = Encoder(tiny(family), tap="hidden", attention="eager", dropout=0.0 if family != "albert" else None)
    classifier = Classifier(encoder, LayerNorm(encoder.dim), num_outputs=2, seed_init=0, dropout=0.0).eval()
    batch = make_batch([5, 9, 2])
    before, gradients = step(classifier, batch)
    weights = {name: value.clone() for name, value in classifier.state_dict().items()}

    shard(classifier, mesh)
    shard(classifier, mesh)  # the next stage calls it again
    units = [name for name, module in classifier.named_modules() if isinstance(module, FSDPModule)]
    assert len(units) == (1 if family == "albert" else 4)  # three layers and the rest; ALBERT's layers are one
    assert all(isinstance(parameter, DTensor) for parameter in classifier.parameters())
    after, sharded = step(classifier, batch)
    assert torch.equal(after.logits, before.logits)
    assert sharded.keys() == gradients.keys()
    assert all(torch.equal(sharded[name], gradient) for name, gradient in gradients.items())
    with torch.no_grad():
        assert torch.equal(classifier.embed(batch), before.h)  # not through the root's forward
    state = classifier.state_dict()
    assert state.keys() == weights.keys()
    measured = ("matching.steps", "matching.noise")  # NaN before matching
    assert all(torch.equal(whole(value), weights[name]) for name, value in state.items() if name not in measured)


def test_the_strategy_shards_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, seen = FullyShardedStrategy(), []
    monkeypatch.setattr(FullyShardedStrategy, "num_processes", 3)
    monkeypatch.setattr(ModelParallelStrategy, "setup_environment", lambda self: seen.append(self._data_parallel_size))
    strategy.setup_environment()
    assert seen == [3]
    assert "16-mixed" not in strategy.precisions
