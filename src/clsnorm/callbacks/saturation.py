"""Saturation: the share of [CLS] values at which a squashing function is flat."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from clsnorm.callbacks.logs import log
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import all_reduce_sum
from clsnorm.lightning_internals import step_number

ALARM = 0.9  # a larger share is an event


class Saturation(Observer):
    """Logs the share of [CLS] values over the select split at which a squashing function is nearly flat.

    ``saturation/select/normalizer`` if the normalizer squashes (Dynamic Tanh, clipping, the map to quantiles), and
    ``saturation/select/pooler`` if [CLS] is read after the pooler's tanh; otherwise nothing. Hardly any gradient passes
    through such a value; a share above 0.9 is the event ``saturation``. Exact on any number of devices.
    """

    kinds = ("saturation",)

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._sums = {}

    @override
    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        classifier = self.classifier(pl_module)
        for place, part in (("pooler", classifier.encoder), ("normalizer", classifier.normalizer)):
            flat = part.saturated(outputs["h"])
            if flat is not None:
                sums = torch.stack([flat.sum(), torch.tensor(flat.numel(), device=flat.device)])
                self._sums[place] = self._sums.get(place, 0) + sums

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for place, sums in self._sums.items():
            count, total = all_reduce_sum(sums.double()).tolist()
            name, share = f"saturation/select/{place}", count / total
            self.numbers[name] = share
            log(pl_module, {name: share})
            if share > ALARM:
                self.report(step=step_number(trainer), kind="saturation", place=name, value=share)
