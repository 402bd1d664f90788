import copy
import os
from typing import Any

import pytest
import torch

from clsnorm.config.rules import check, count_processes
from clsnorm.errors import InputError

TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "max_epochs": 1,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "precision": "32-true",
    "log_every_n_steps": 1,
    "gradient_clip_val": 1.0,
    "val_check_interval": 1.0,
}
GOOD: dict[str, Any] = {
    "choices": {"data": "sst2", "normalizer": "identity"},
    "seed": 0,
    "seeds": {"init": 0, "order": 0, "dropout": 0, "subset": 0, "noise": 0},
    "force": False,
    "abort_on": [],
    "checkpoint_every": 10,
    "trainer": TRAINER,
}


def test_good_configuration_passes() -> None:
    assert check(GOOD) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", "one"),
        ("seed", True),
        ("abort_on", "explosion"),
        ("seeds.order", 2**32),
        ("force", 1),
        ("checkpoint_every", 0),
        ("trainer.max_epochs", "abc"),
        ("trainer.max_epochs", 0),
        ("trainer.max_steps", 1.5),
        ("trainer.gradient_clip_val", 0),
        ("trainer.log_every_n_steps", 0),
        ("trainer.val_check_interval", 0),
        ("trainer.val_check_interval", 1.5),
        ("trainer.val_check_interval", True),
        ("trainer.precision", "bf16-true"),
        ("trainer.precision", 16),
        ("trainer.num_nodes", 2),
        ("trainer.accelerator", "tpu"),
        ("trainer.devices", 0),
        ("trainer.devices", "two"),
    ],
)
def test_bad_value_is_named(key: str, value: Any) -> None:
    config = copy.deepcopy(GOOD)
    *parents, leaf = key.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    with pytest.raises(InputError, match=f"`{key}`.*got {value!r}"):
        check(config)


def test_unbounded_run_is_refused() -> None:
    with pytest.raises(InputError, match="bound the run"):
        check({**GOOD, "trainer": {**TRAINER, "max_epochs": -1}})


def test_more_processes_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert count_processes({**TRAINER, "devices": 2}) == 2  # ddp_cpu works anywhere
    with pytest.raises(InputError, match=r"trainer\.devices=3 .* 2"):
        count_processes({**TRAINER, "devices": 3})


def test_devices_beyond_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu = {**TRAINER, "accelerator": "gpu"}
    assert count_processes({**gpu, "devices": "auto"}) == 2
    assert count_processes({**gpu, "devices": 2}) == 2
    with pytest.raises(InputError, match="there are 2"):
        count_processes({**gpu, "devices": 4})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="trainer=ddp_cpu"):
        count_processes(gpu)
