"""`Scores`: loss and metrics of a split, equal for any number of processes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from clsnorm.distributed import gather_objects
from clsnorm.metrics import alone


class Scores:
    """Collects a split's predictions and scores them together at its end.

    The predictions of all processes are gathered and sorted by example id before they reach a metric. So the value is
    that of one process, bit for bit, however the metric would merge states, and also with processes without examples.

    A split has no scores if a prediction is not finite, on any process: metrics would count NaN as class 0.

    Args:
        metrics: By name; each is copied, and takes ``(predictions, labels)``.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = {name: alone(metric) for name, metric in metrics.items()}
        self._rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def reset(self) -> None:
        """Removes all collected rows."""
        self._rows = []

    def update(self, example_ids: Tensor, values: Tensor, labels: Tensor, losses: Tensor) -> None:
        """Collects the rows of one step, on the CPU; there may be none."""
        if example_ids.numel():
            self._rows.append(tuple(x.detach().cpu() for x in (example_ids, values, labels, losses)))  # type: ignore[arg-type]

    def compute(self) -> dict[str, float]:
        """Returns ``loss`` (mean over examples) and each metric. Collective.

        All are NaN without examples, or if a prediction is not finite.
        """
        own = [torch.cat(column) for column in zip(*self._rows, strict=True)] if self._rows else None
        parts = [part for part in gather_objects(own) if part is not None]
        if not parts or not all(values.isfinite().all() for _, values, _, _ in parts):
            return dict.fromkeys(["loss", *self.metrics], math.nan)
        ids, values, labels, losses = (torch.cat(column) for column in zip(*parts, strict=True))
        order = ids.argsort(stable=True)
        scores = {"loss": losses[order].double().mean().item()}
        for name, metric in self.metrics.items():
            metric.reset()
            scores[name] = float(metric(values[order], labels[order]))
            metric.reset()
        return scores
