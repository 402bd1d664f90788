from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scripted_fit import Validated, fit, outputs

from clsnorm.callbacks import Saturation
from clsnorm.normalizers import Clip, DynamicTanh, Identity, Normalizer, QuantileToNormal
from clsnorm.statistics import Quantiles


def calibrated(kind: Any, h: torch.Tensor) -> Normalizer:
    normalizer, quantiles = kind(h.shape[1]), Quantiles(h.shape[1])
    quantiles.update(h)
    normalizer.calibrate(quantiles)
    return normalizer


@pytest.mark.parametrize(
    "make", [lambda h: DynamicTanh(4), lambda h: calibrated(Clip, h), lambda h: calibrated(QuantileToNormal, h)]
)
def test_slopes_are_small_at_saturated_values(make: Any) -> None:
    h = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    normalizer = make(h)
    x = torch.cat([h, 30 * h]).requires_grad_()
    (slope,) = torch.autograd.grad(normalizer(x).sum(), x)
    flat = normalizer.saturated(x.detach())
    assert 0 < flat.float().mean() < 1
    assert slope[flat].abs().max() < slope[~flat].abs().median()
    if not isinstance(normalizer, DynamicTanh):
        assert (slope[flat] == 0).all()


class Squashing(Validated):
    """A module whose classifier has only what `Saturation` reads; its outputs ``h`` are the validation batches."""

    def __init__(self, normalizer: Normalizer, tap_saturates: bool) -> None:
        super().__init__([outputs()] * 4, scores=[0.0])
        encoder = SimpleNamespace(saturated=lambda cls: cls.abs() > 0.9 if tap_saturates else None)
        self.classifier = SimpleNamespace(encoder=encoder, normalizer=normalizer)


def validate(tap_saturates: bool, normalizer: Normalizer, *batches: torch.Tensor) -> tuple[dict[str, float], list[Any]]:
    reported: list[Any] = []
    observer = Saturation()
    observer.report = lambda **event: reported.append(event)  # type: ignore[method-assign]
    validation = torch.utils.data.DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer = fit(Squashing(normalizer, tap_saturates), observer, val=validation)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if "saturation" in name}
    assert observer.summary() == logged
    return logged, reported


def test_shares_equal_those_of_all_batches() -> None:
    logged, reported = validate(True, DynamicTanh(4), torch.zeros(3, 4), torch.full((1, 4), 9.0))
    assert logged == {"saturation/select/pooler": 0.25, "saturation/select/normalizer": 0.25}
    assert reported == []
    _, reported = validate(False, DynamicTanh(4), torch.full((2, 4), 9.0))
    assert reported == [{"step": 3, "kind": "saturation", "place": "saturation/select/normalizer", "value": 1.0}]


def test_nothing_is_logged_without_a_squashing_function() -> None:
    assert validate(False, Identity(4), torch.ones(2, 4)) == ({}, [])
