"""Common ways to measure gradients that give wrong numbers, compared with ours."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import wandb
from torch import nn

from clsnorm.gradients import ParameterNorms


class Parts(nn.Module):
    """A parameter in each of two parts of a classifier."""

    def __init__(self, *, head: float, normalizer: float) -> None:
        super().__init__()
        self.head, self.normalizer = nn.Linear(3, 1, bias=False), nn.Linear(3, 1, bias=False)
        self.head.weight.grad = torch.full((1, 3), head)
        self.normalizer.weight.grad = torch.full((1, 3), normalizer)


@pytest.fixture
def exploded() -> Parts:
    model = Parts(head=1.0, normalizer=2.0)
    model.head.weight.grad[0, 1] = math.inf  # type: ignore[index]
    return model


def test_clipping_to_infinity_as_a_way_to_read_a_norm_destroys_gradients(exploded: Parts) -> None:
    norms = ParameterNorms(exploded)
    ours = norms.by_name(norms.of_gradients())
    assert ours == {"head": math.inf, "normalizer": pytest.approx(math.sqrt(12)), "body": 0.0, "total": math.inf}
    assert torch.equal(exploded.normalizer.weight.grad, torch.full((1, 3), 2.0))  # type: ignore[arg-type]
    total = torch.nn.utils.clip_grad_norm_(exploded.parameters(), max_norm=math.inf)
    assert total == math.inf
    assert exploded.normalizer.weight.grad.isnan().all()  # type: ignore[union-attr]  # finite before


def test_wandb_watch_hides_non_finite_gradients(exploded: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, wandb.Histogram] = {}
    monkeypatch.setattr(wandb, "run", SimpleNamespace(_log=lambda row, commit: logged.update(row)))
    from wandb.integration.torch.wandb_torch import TorchHistory

    history, gradient = TorchHistory(), exploded.head.weight.grad
    history.log_tensor_stats(gradient, "head")
    assert sum(logged["head"].histogram) == 2  # of three values; the exploded one is missing
    assert max(logged["head"].bins) == 1.0
    history.log_tensor_stats(torch.full((3,), math.nan), "normalizer")
    assert "normalizer" not in logged  # and nothing reports that all have exploded
    assert ParameterNorms(exploded).of_gradients().max() == math.inf
