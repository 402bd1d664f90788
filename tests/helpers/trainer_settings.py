"""The settings of a trainer that every run needs."""

from typing import Any

MINIMAL: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "max_epochs": 1,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "precision": "32-true",
    "log_every_n_steps": 1,
    "val_check_interval": 1.0,
}
