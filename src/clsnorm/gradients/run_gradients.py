"""What is kept of a whole run's gradients: norms of every example, and numbers of every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clsnorm.files import replacing
from clsnorm.gradients.examples import Examples
from clsnorm.gradients.steps import RunSeries, clip_coefficient
from clsnorm.gradients.summary import norm_numbers


class RunGradients:
    """Collects examples and parameter norms on the host; the same on all processes.

    Attributes:
        series: Numbers of each step: ``{point}/max``, ``{point}/mean``, ``parameters/{part}``, ``clip_coefficient``.
    """

    def __init__(self) -> None:
        self.series = RunSeries()
        self._norms: dict[str, list[np.ndarray]] = {}

    def add_examples(self, point: str, seen: Examples, *, by_step: bool = True) -> dict[int, float]:
        """Adds examples at a point, and returns the largest norm of each step unless ``by_step`` is false."""
        if len(seen.norms):
            self._norms.setdefault(point, []).append(seen.norms.numpy())
        if not by_step or not len(seen.norms):
            return {}
        largest = seen.largest()
        self.series.add(f"{point}/max", largest)
        self.series.add(f"{point}/mean", seen.means())
        return largest

    def add_parameters(self, norms: Mapping[int, Mapping[str, float]], *, clip: float | None) -> dict[int, float]:
        """Adds norms before clipping by step and part, and returns their total by step.

        Args:
            norms: With ``total``.
            clip: The norm that gradients are clipped to; 0: they are not; None: they are clipped in another way.
        """
        for name in next(iter(norms.values()), {}):
            self.series.add(f"parameters/{name}", {step: parts[name] for step, parts in norms.items()})
        totals = {step: parts["total"] for step, parts in norms.items()}
        if clip is not None and totals:
            self.series.add("clip_coefficient", {step: clip_coefficient(norm, clip) for step, norm in totals.items()})
        return totals

    def summary(self) -> dict[str, float]:
        """Returns ``grad/run/...``, `norm_numbers` of all examples, and ``grad/steps/...`` of `RunSeries`."""
        found = {
            f"grad/run/{point}/{name}": value
            for point, norms in self._norms.items()
            for name, value in norm_numbers(torch.from_numpy(np.concatenate(norms))).items()
        }
        return found | self.series.summary()

    def write(self, folder: Path) -> None:
        """Writes ``gradients.npz`` and ``gradient_steps.npz``, unless there is nothing to write."""
        examples = {point: np.concatenate(norms) for point, norms in self._norms.items()}
        for name, arrays in (("gradients", examples), ("gradient_steps", self.series.arrays())):
            if examples:
                with replacing(folder / f"{name}.npz") as draft:
                    np.savez(draft, **arrays)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state."""
        norms = {point: torch.from_numpy(np.concatenate(parts)) for point, parts in self._norms.items()}
        return {"norms": norms, "series": self.series.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the value of `state_dict`."""
        self._norms = {point: [norms.numpy()] for point, norms in state["norms"].items()}
        self.series.load_state_dict(state["series"])
