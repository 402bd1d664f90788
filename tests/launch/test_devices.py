"""One process per existing device."""

import os
from functools import partial

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.launch.devices import count_processes

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
