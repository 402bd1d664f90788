"""What gradients do: of each example at [CLS], and of each part's parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.base import Observer
from clsnorm.distributed import world_size
from clsnorm.errors import InputError
from clsnorm.files import replacing
from clsnorm.gradients import (
    ExampleGradients,
    Explosion,
    ParameterNorms,
    Vanishing,
    depth_profile,
    direction_numbers,
    norm_numbers,
    overlap_numbers,
)

EMBEDDING = "embedding"  # h itself, beside its gradient
BOUND = "gain_bound"  # of each example, from the normalizer
FLOORS = {"depth/bottom_to_top": 1e-4, "depth/bottom": 1e-8}  # gradients below these move nothing from the start


class GradientNorms(Observer):
    """Logs the gradients of single examples before (``h``) and after (``z``) the normalizer, and of the parameters.

    A row of the gradient that reaches [CLS] is that of one example; it is brought to the scale of the gradient of the
    *example's own loss*: AMP's scale, gradient accumulation, the mean over the global batch and DDP's factor are
    undone. Where the normalizer mixes the batch's gradients, a row at ``h`` is a gradient of the *sum* of all losses,
    and its point is called ``h_of_sum``. Observing costs no second backward pass and no waiting for the device between
    two logged steps; numbers are of all the steps since the last logged one, exact on any number of devices.

    Logged every ``log_every_n_steps``:

    - ``grad/{point}/{mean,median,p95,p99,max}``: of the norms ``||g_i||``. Not finite if one of them is not.
    - ``grad/{point}/{mean_norm,agreement,signal_to_noise,noise_scale,top_energy_share,participation_ratio}``:
      `clsnorm.gradients.direction_numbers`.
    - ``grad/h/{top_overlap,rank_correlation}`` with the embedding's own energy: `clsnorm.gradients.overlap_numbers`.
    - ``grad/gain``: mean norm at h over mean norm at z; ``grad/rms_gain``: the same of root mean squares;
      ``grad/gain_bound``: what the latter cannot exceed, nor the former where the normalizer does not mix the batch:
      the largest singular value of an example's Jacobian (`Normalizer.gain_bound`; absent where none is known).
    - ``grad/parameters/{part}`` and ``grad/parameters/total``: norm of the step's gradients (after accumulation, AMP
      and DDP), before clipping; ``grad/clipped/total``: after it; ``grad/update_ratio/{part}``: norm of the step's
      change over the norm of the weights. Parts are named by `clsnorm.gradients.part_names`.
    - ``grad/depth/{bottom,bottom_to_top,log_slope}``: `clsnorm.gradients.depth_profile`.

    Events (``events.csv``), judged at each logged step: ``explosion`` where ``grad/h/max`` or
    ``grad/parameters/total`` is not finite or, after 16 logged steps, above ``median + deviations * MAD`` of the last
    ``window`` ones, and ``vanishing`` where ``grad/depth/bottom_to_top`` or ``grad/depth/bottom`` stays below a
    hundredth of its first values, or from the start below a floor (1e-4 and 1e-8). Explosion is judged at h, since the
    coordinates of z are the normalizer's.

    The norms of the whole run are kept in ``statistics/gradients.npz`` (``h``, ``z``, and ``gain_bound`` of each
    example); their percentiles stand in the results as ``grad/run/{point}/...``.

    Args:
        top: Dimensions in the energy share and the overlap.
        updates: Whether to log ``update_ratio``; holds a copy of the weights.
        window: Logged steps that say what is usual.
        deviations: Median absolute deviations above the median that make an explosion.

    Raises:
        InputError: If ``top`` is not positive, or `Explosion` refuses an argument.
    """

    kinds = ("explosion", "vanishing")

    def __init__(self, *, top: int, updates: bool, window: int, deviations: float) -> None:
        if top < 1:
            raise InputError(f"Expected argument `top` to be a positive number of dimensions, but got {top}")
        self._top, self._updates = top, updates
        self._explosions = {name: Explosion(window=window, k=deviations) for name in ("h/max", "parameters/total")}
        self._vanishing = {name: Vanishing(window=10, share=0.01, floor=floor) for name, floor in FLOORS.items()}
        self._windows: dict[str, ExampleGradients] = {}
        self._run: dict[str, list[np.ndarray]] = {}
        self._numbers: dict[str, float] = {}
        self._saved: dict[str, dict[str, Tensor]] = {}
        self._handle: RemovableHandle | None = None

    @override
    def summary(self) -> dict[str, float]:
        run = {
            f"grad/run/{point}/{name}": value
            for point, norms in self._run.items()
            for name, value in norm_numbers(torch.from_numpy(np.concatenate(norms))).items()
        }
        return self._numbers | run

    @override
    def state_dict(self) -> dict[str, Any]:
        norms = {point: torch.from_numpy(np.concatenate(parts)) for point, parts in self._run.items()}
        windows = {point: window.state_dict() for point, window in self._windows.items()}
        detectors = {name: detector.state() for name, detector in self._detectors.items()}
        return {"norms": norms, "numbers": dict(self._numbers), "windows": windows, "detectors": detectors}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run = {point: [norms.numpy()] for point, norms in state_dict["norms"].items()}
        self._numbers = dict(state_dict["numbers"])
        self._saved = state_dict["windows"]
        for name, detector in self._detectors.items():
            detector.restore(state_dict["detectors"][name])

    @property
    def _detectors(self) -> dict[str, Any]:
        return {**self._explosions, **self._vanishing}

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        self._dim = classifier.encoder.dim
        self._names = {"h": "h_of_sum" if classifier.normalizer.mixes_gradients else "h", "z": "z"}
        self._normalizer = classifier.normalizer
        self._norms = ParameterNorms(classifier)
        self._restart()
        self._handle = classifier.normalizer.register_forward_hook(self._see)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Some strategies have read the checkpoint by now only.
        for point, state in self._saved.items():
            self._windows[point].load_state_dict(state)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._due = (trainer.global_step + 1) % every == 0
        self._factor = batch.global_size * trainer.accumulate_grad_batches / world_size()
        self._scaler = getattr(trainer.precision_plugin, "scaler", None)

    def _see(self, module: nn.Module, inputs: tuple[Tensor, ...], z: Tensor) -> None:
        """Asks h and z of a training step for their gradients."""
        if not (module.training and z.requires_grad):
            return
        h = inputs[0]
        self._windows[EMBEDDING].update(h)
        if (bound := self._normalizer.gain_bound(h)) is not None:
            self._windows[BOUND].update(bound[:, None])
        for point, tensor in (("h", h), ("z", z)):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, point=point: self._take(point, gradient))

    def _take(self, point: str, gradient: Tensor) -> None:
        # The scale is read on the device: `get_scale` would wait for it.
        factor = self._factor if self._scaler is None else self._factor / self._scaler._get_scale_async()
        self._windows[point].update(gradient.float() * factor)

    @override
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if self._due:
            self._raw = self._norms.of_gradients()
            if self._updates:
                self._norms.keep_weights()

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        stepped = not trainer.fit_loop.epoch_loop._should_accumulate()
        if self._due and stepped:
            numbers = self._example_numbers() | self._parameter_numbers()
            self._restart()
            self._judge(trainer, numbers)
            self._numbers = numbers
            exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
            pl_module.log_dict(exact, rank_zero_only=True, batch_size=1)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._example_numbers()  # steps after the last logged one count for the run
        self._restart()
        if trainer.is_global_zero and self._run:
            with replacing(Path(trainer.default_root_dir) / "statistics" / "gradients.npz") as draft:
                np.savez(draft, **{point: np.concatenate(norms) for point, norms in self._run.items()})  # type: ignore[arg-type]

    def _judge(self, trainer: pl.Trainer, numbers: dict[str, float]) -> None:
        """Writes what is out of the ordinary to ``events.csv``."""
        for name, detector in self._explosions.items():
            place = f"grad/{name}".replace("grad/h/", f"grad/{self._names['h']}/")
            if detector.sees(numbers[place]):
                self.tell(step=trainer.global_step, kind="explosion", place=place, value=numbers[place])
        for name, vanishing in self._vanishing.items():
            if vanishing.sees(numbers[place := f"grad/{name}"]):
                self.tell(step=trainer.global_step, kind="vanishing", place=place, value=numbers[place])

    def _restart(self) -> None:
        self._windows = {point: ExampleGradients(self._dim) for point in (*self._names, EMBEDDING)}
        self._windows[BOUND] = ExampleGradients(1)

    def _example_numbers(self) -> dict[str, float]:
        """Reads the window, on all processes, and keeps its norms for the run."""
        numbers: dict[str, float] = {}
        means: dict[str, float] = {}
        squares: dict[str, float] = {}
        energies: dict[str, Tensor] = {}
        for point, name in self._names.items():
            norms, sums = self._windows[point].read()
            self._run.setdefault(name, []).append(norms.numpy())
            found = norm_numbers(norms)
            means[point], squares[point], energies[point] = found["mean"], float(norms.norm()), sums["square"]
            found |= direction_numbers(norms, sums, top=min(self._top, self._dim))
            numbers |= {f"grad/{name}/{key}": value for key, value in found.items()}
        _, embeddings = self._windows[EMBEDDING].read()
        overlap = overlap_numbers(energies["h"], embeddings["square"], top=min(self._top, self._dim))
        numbers |= {f"grad/{self._names['h']}/{key}": value for key, value in overlap.items()}
        numbers["grad/gain"] = means["h"] / means["z"] if means["z"] else float("nan")
        numbers["grad/rms_gain"] = squares["h"] / squares["z"] if squares["z"] else float("nan")
        bounds, _ = self._windows[BOUND].read()
        if len(bounds):
            self._run.setdefault(BOUND, []).append(bounds.numpy())
            numbers["grad/gain_bound"] = norm_numbers(bounds)["max"]
        return numbers

    def _parameter_numbers(self) -> dict[str, float]:
        """Norms by part, with one transfer for all of them."""
        clipped, weights = self._norms.of_gradients(), self._norms.of_weights()
        updates = self._norms.of_updates() if self._updates else torch.zeros_like(weights)
        raw, clipped, weights, updates = torch.stack([self._raw, clipped, weights, updates]).cpu()
        parts = self._norms.parts
        by_part = dict(zip(parts, raw.tolist(), strict=True))
        numbers = {f"grad/parameters/{part}": norm for part, norm in by_part.items()}
        numbers |= {"grad/parameters/total": float(raw.norm()), "grad/clipped/total": float(clipped.norm())}
        numbers |= {f"grad/depth/{name}": value for name, value in depth_profile(by_part).items()}
        if self._updates:
            ratios = torch.where(weights > 0, updates / weights, torch.nan)
            numbers |= {f"grad/update_ratio/{p}": r for p, r in zip(parts, ratios.tolist(), strict=True)}
        return numbers
