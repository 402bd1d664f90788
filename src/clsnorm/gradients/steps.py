"""Series of numbers, one per optimizer step, and their summaries for a comparison of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHARE = 0.1  # of a run's steps that are its start, and its end
CLIP_EPS = 1e-6  # that torch.nn.utils.clip_grad_norm_ adds to the norm


class StepVectors:
    """Vectors of float64 numbers, one per optimizer step, on their device until they are read together.

    Args:
        size: Numbers in a vector.
    """

    def __init__(self, size: int) -> None:
        self.steps: list[int] = []
        self._size = size
        self._vectors: list[Tensor] = []

    def add(self, step: int, vector: Tensor) -> None:
        """Adds the vector ``(size,)`` of a step, without waiting for the device."""
        self.steps.append(step)
        self._vectors.append(vector)

    def packed(self) -> Tensor:
        """Returns all vectors as one, on their device."""
        return torch.cat(self._vectors) if self._vectors else torch.zeros(0, dtype=torch.float64)

    def take(self, packed: Tensor) -> dict[int, Tensor]:
        """Returns the vectors by step, from the value of `packed` on the host, and forgets them."""
        found = dict(zip(self.steps, packed.view(-1, self._size), strict=True))
        self.steps, self._vectors = [], []
        return found

    def state_dict(self) -> dict[str, Any]:
        """Returns the vectors."""
        return {"steps": list(self.steps), "vectors": [vector.cpu() for vector in self._vectors]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        self.steps, self._vectors = list(state["steps"]), list(state["vectors"])


class RunSeries:
    """Numbers of each step of a run, by name, on the host; all names have the steps at which they were added."""

    def __init__(self) -> None:
        self._series: dict[str, dict[int, float]] = {}

    def add(self, name: str, numbers: Mapping[int, float]) -> None:
        """Adds numbers by step."""
        self._series.setdefault(name, {}).update(numbers)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns ``step`` and each series, with NaN where a series has no number."""
        steps = sorted(set().union(*self._series.values())) if self._series else []
        arrays = {"step": np.array(steps, dtype=np.int64)}
        for name, numbers in self._series.items():
            arrays[name] = np.array([numbers.get(step, math.nan) for step in steps])
        return arrays

    def summary(self) -> dict[str, float]:
        """Returns ``grad/steps/...``: `step_summary` of each series but single layers', and `clip_summary`."""
        found: dict[str, float] = {}
        for name, norms in self.arrays().items():
            if name == "clip_coefficient":
                found |= {f"grad/steps/{key}": value for key, value in clip_summary(norms).items()}
            elif name != "step" and not name.startswith("parameters/layer"):
                found |= {f"grad/steps/{name}/{key}": value for key, value in step_summary(norms).items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        """Returns the series, as plain numbers."""
        return {name: dict(numbers) for name, numbers in self._series.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        self._series = {name: dict(numbers) for name, numbers in state.items()}


def step_summary(norms: np.ndarray) -> dict[str, float]:
    """Returns numbers that compare the course of a norm between runs, from its value at each of n steps.

    - ``start/max``, ``start/median``: over the first tenth of the steps (at least one).
    - ``run/max``, ``run/median``: over all steps.
    - ``growth/log_slope``: slope of the natural logarithm over the steps, by least squares: growth per step.
    - ``growth/end_to_start``: median of the last tenth over that of the first.

    NaN counts as infinite in maxima and medians; steps whose norm is zero or not finite are left out of the slope.
    """
    norms = np.nan_to_num(np.asarray(norms, dtype=np.float64), nan=np.inf, posinf=np.inf)
    if not len(norms):
        return {}
    tenth = max(1, math.ceil(SHARE * len(norms)))
    start, end = float(np.median(norms[:tenth])), float(np.median(norms[-tenth:]))
    return {
        "start/max": float(norms[:tenth].max()),
        "start/median": start,
        "run/max": float(norms.max()),
        "run/median": float(np.median(norms)),
        "growth/log_slope": log_slope(norms),
        "growth/end_to_start": end / start if start and math.isfinite(start) else math.nan,
    }


def log_slope(norms: np.ndarray) -> float:
    """Returns the slope of the logarithm of positive, finite norms over their place; NaN with fewer than two."""
    places = np.flatnonzero(np.isfinite(norms) & (norms > 0))
    if len(places) < 2:
        return math.nan
    centred = places - places.mean()
    return float(centred @ np.log(norms[places]) / (centred @ centred))


def clip_coefficient(norm: float, clip: float | None) -> float:
    """Returns the factor by which `torch.nn.utils.clip_grad_norm_` multiplies gradients of a norm.

    Args:
        norm: Norm of all gradients.
        clip: The norm that they are clipped to; None: they are not.
    """
    return 1.0 if not clip else min(1.0, clip / (norm + CLIP_EPS))


def clip_summary(coefficients: np.ndarray) -> dict[str, float]:
    """Returns ``clipped_share``, and ``clip_coefficient/median`` and ``/min``, over the steps of a run."""
    if not len(coefficients):
        return {}
    return {
        "clipped_share": float((coefficients < 1).mean()),
        "clip_coefficient/median": float(np.median(coefficients)),
        "clip_coefficient/min": float(coefficients.min()),
    }
