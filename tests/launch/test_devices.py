"""One process per existing device."""

import contextlib
import os
from functools import partial

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.launch.devices import count_processes, require_precision

CPU = {"accelerator": "cpu", "devices": 1}
count = partial(count_processes, prefix="trainer.")


def test_one_device_is_one_process() -> None:
    assert count(CPU) == 1
    assert count({**CPU, "devices": "auto"}) == 1


def test_more_processes_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert count({**CPU, "devices": 2}) == 2  # ddp_cpu works anywhere
    with pytest.raises(InputError, match=r"trainer\.devices=3 .* 2"):
        count({**CPU, "devices": 3})


def test_more_devices_than_exist_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu = {**CPU, "accelerator": "gpu"}
    assert count({**gpu, "devices": "auto"}) == 2
    assert count({**gpu, "devices": 2}) == 2
    with pytest.raises(InputError, match="there are 2"):
        count({**gpu, "devices": 4})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="trainer=ddp_cpu"):
        count(gpu)


@pytest.mark.parametrize("accelerator", ["cpu", "auto", "gpu", "mps"])
@pytest.mark.parametrize(
    ("gpus", "mps", "bfloat16"), [(0, False, False), (1, False, True), (1, False, False), (0, True, False)]
)
def test_a_precision_that_the_device_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, gpus: int, mps: bool, bfloat16: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    on_gpu = accelerator in ("auto", "gpu") and gpus > 0
    on_mps = accelerator in ("auto", "mps") and mps
    refused = {"16-mixed": not on_gpu and not on_mps, "bf16-mixed": on_gpu and not bfloat16, "32-true": False}
    for precision, is_refused in refused.items():
        settings = {"accelerator": accelerator, "precision": precision}
        with (
            pytest.raises(InputError, match=f"precision={precision}.*Use ") if is_refused else contextlib.nullcontext()
        ):
            require_precision(settings, prefix="trainer.")
