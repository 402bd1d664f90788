"""Gradients of each example at [CLS], and of the parameters by part."""

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
from clsnorm.callbacks.logs import log_directly
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import world_size
from clsnorm.errors import require_switch, require_whole
from clsnorm.files import replacing
from clsnorm.gradients import (
    Examples,
    GradientAlarms,
    GradientWindow,
    ParameterNorms,
    direction_numbers,
    norm_numbers,
    overlap_numbers,
)
from clsnorm.lightning_internals import StepWatch, ends_step, is_logged, loss_scaler, scale_on_device, step_number

EMBEDDING = "embedding"  # h itself, not its gradient
BOUND = "gain_bound"  # of each example, from the normalizer


class GradientNorms(Observer):
    """Logs the gradients of single examples before (``h``) and after (``z``) the normalizer, and of the parameters.

    Each row of the gradient at [CLS] belongs to one example; it is rescaled to the gradient of the *example's own
    loss*: AMP's scale, the mean over the step's examples and DDP's factor are undone. If the
    normalizer mixes the batch's gradients, a row at ``h`` is a gradient of the *sum* of all losses, and its point is
    called ``h_of_sum``. There is no second backward pass, and the host waits for the device once in a logged step and
    never in the others. The numbers cover all steps since the last logged one, exactly on any number of devices. A
    step that AMP's gradient scaler skipped does not count: neither its examples, nor, if it is a logged step, its
    parameters' gradients, which are then logged as NaN.

    Logged every ``log_every_n_steps``:

    - ``grad/{point}/{mean,median,p95,p99,max}``: of the norms ``||g_i||``; ``mean`` and ``max`` are infinite if a norm
      is not finite.
    - ``grad/{point}/{mean_norm,agreement,signal_to_noise,noise_scale,top_energy_share,participation_ratio}``:
      `clsnorm.gradients.direction_numbers`.
    - ``grad/h/{top_overlap,rank_correlation}`` with the embedding's own energy: `clsnorm.gradients.overlap_numbers`.
    - ``grad/gain``: mean norm at h over mean norm at z; ``grad/rms_gain``: the same of root mean squares;
      ``grad/gain_bound``: an upper bound of the latter, and of the former if the normalizer does not mix the batch:
      the largest singular value of an example's Jacobian (`Normalizer.gain_bound`; absent if none is known).
    - ``grad/parameters/{part}`` and ``grad/parameters/total``: norm of the step's gradients (after accumulation, AMP
      and DDP), before clipping; ``grad/clipped/...``: after it; ``grad/clip_coefficient``: the latter total over the
      former; ``grad/update_ratio/{part}``: norm of the step's change over the norm of the weights. Parts are named by
      `clsnorm.gradients.part_names`.
    - ``grad/depth/{bottom,bottom_to_top,log_slope}``: `clsnorm.gradients.depth_profile`.

    These are at most ``45 + 9 L`` numbers for a model of L layers, in JSON at most 75 bytes each: 12 kB for 12 layers.

    Events (``events.csv``), with the number of their step, reported at the next logged step:

    - ``explosion``: the largest norm at h of any step (``grad/h/max``), or ``grad/parameters/total`` of a logged step,
      is not finite or, after the first 16, above ``median + deviations * MAD`` and above twice the median of the last
      ``window``. Reported with the first of such norms in a row, and with the third, which can end the run
      (``abort_on``), as can a norm that is not finite. Judged at h, since the normalizer defines the coordinates of z.
    - ``vanishing``, once in a run and place: ``grad/depth/bottom_to_top`` stays below a hundredth of its first values
      or below 1e-4, or ``grad/depth/bottom`` below 1e-8. This is a small gradient, not yet a failed run.

    The norms of the whole run are stored in ``statistics/gradients.npz`` (``h``, ``z``, and ``gain_bound`` of each
    example); their percentiles are in the results as ``grad/run/{point}/...``.

    Args:
        top: Dimensions in the energy share and the overlap.
        updates: Whether to log ``update_ratio``; it needs a copy of the weights.
        window: Steps (for the parameters: logged steps) that the median and MAD are taken over.
        deviations: Median absolute deviations above the median that count as an explosion.

    Raises:
        InputError: If ``top`` is not from 1 to the dimensions of [CLS], ``updates`` is not true or false, or
            `GradientAlarms` refuses an argument.
    """

    kinds = GradientAlarms.kinds

    def __init__(self, *, top: int, updates: bool, window: int, deviations: float) -> None:
        require_whole("gradient_norms.top", top, least=1, advice="It counts dimensions")
        require_switch("gradient_norms.updates", updates)
        self._top, self._updates = top, updates
        self._alarms = GradientAlarms(window=window, deviations=deviations)
        self._run: dict[str, list[np.ndarray]] = {}
        self._saved: dict[str, Any] | None = None
        self._handle: RemovableHandle | None = None

    @override
    def check(self, *, dim: int) -> None:
        require_whole("gradient_norms.top", self._top, least=1, most=dim, advice=f"[CLS] has {dim} dimensions")

    @override
    def summary(self) -> dict[str, float]:
        run = {
            f"grad/run/{point}/{name}": value
            for point, norms in self._run.items()
            for name, value in norm_numbers(torch.from_numpy(np.concatenate(norms))).items()
        }
        return super().summary() | run

    @override
    def state_dict(self) -> dict[str, Any]:
        norms = {point: torch.from_numpy(np.concatenate(parts)) for point, parts in self._run.items()}
        window, alarms = self._window.state_dict(), self._alarms.state_dict()
        return super().state_dict() | {"norms": norms, "window": window, "alarms": alarms}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._run = {point: [norms.numpy()] for point, norms in state_dict["norms"].items()}
        self._saved = state_dict["window"]
        self._alarms.load_state_dict(state_dict["alarms"])

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier = self.classifier(pl_module)
        self._names = {"h": "h_of_sum" if classifier.normalizer.mixes_gradients else "h", "z": "z"}
        self._normalizer = classifier.normalizer
        self._norms = ParameterNorms(classifier)
        self._window = GradientWindow({**dict.fromkeys((*self._names, EMBEDDING), classifier.encoder.dim), BOUND: 1})
        self._handle = classifier.normalizer.register_forward_hook(self._see)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps = StepWatch(trainer.optimizers[0])
        if self._saved is not None:  # some strategies read the checkpoint only after on_fit_start
            self._window.load_state_dict(self._saved)
            self._saved = None

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._due = is_logged(trainer)
        self._factor = batch.step_size / world_size()
        self._scaler = loss_scaler(trainer)

    def _see(self, module: nn.Module, inputs: tuple[Tensor, ...], z: Tensor) -> None:
        """Registers hooks for the gradients of h and z in a training step."""
        if not (module.training and z.requires_grad):
            return
        h = inputs[0]
        self._window.update(EMBEDDING, h)
        if (bound := self._normalizer.gain_bound(h)) is not None:
            self._window.update(BOUND, bound[:, None])
        for point, tensor in (("h", h), ("z", z)):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, point=point: self._take(point, gradient))

    def _take(self, point: str, gradient: Tensor) -> None:
        factor = self._factor if self._scaler is None else self._factor / scale_on_device(self._scaler)
        self._window.update(point, gradient.float() * factor)

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
        if not ends_step(trainer):
            return
        step, made = step_number(trainer), self._steps.take()
        self._window.end_step(step, made=made)
        if self._due:
            seen, measured = self._window.take(self._measure())
            self.numbers.update(self._example_numbers(seen) | self._parameter_numbers(measured, made=made))
            log_directly(trainer, dict(self.numbers), step=step)
            self._judge_examples(seen)
            for event in self._alarms.of_parameters(step, self.numbers) if made else ():
                self.report(**event)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps.remove()
        seen, _ = self._window.take(torch.zeros(0, dtype=torch.float64))  # steps after the last logged one
        self._keep(seen)
        self._judge_examples(seen)
        if trainer.is_global_zero and self._run:
            with replacing(Path(trainer.default_root_dir) / "statistics" / "gradients.npz") as draft:
                np.savez(draft, **{point: np.concatenate(norms) for point, norms in self._run.items()})  # type: ignore[arg-type]

    def _judge_examples(self, seen: dict[str, Examples]) -> None:
        for event in self._alarms.of_examples(f"grad/{self._names['h']}/max", seen["h"].largest()):
            self.report(**event)

    def _keep(self, seen: dict[str, Examples]) -> None:
        """Adds the norms to those of the run."""
        for point, name in {**self._names, BOUND: BOUND}.items():
            if len(seen[point].norms):
                self._run.setdefault(name, []).append(seen[point].norms.numpy())

    def _example_numbers(self, seen: dict[str, Examples]) -> dict[str, float]:
        """Returns the logged numbers of a window's examples."""
        self._keep(seen)
        numbers: dict[str, float] = {}
        for point, name in self._names.items():
            found = norm_numbers(seen[point].norms)
            found |= direction_numbers(seen[point].norms, seen[point].sums, top=self._top)
            numbers |= {f"grad/{name}/{key}": value for key, value in found.items()}
        h, z = (seen[point] for point in self._names)
        overlap = overlap_numbers(h.sums["square"], seen[EMBEDDING].sums["square"], top=self._top)
        numbers |= {f"grad/{self._names['h']}/{key}": value for key, value in overlap.items()}
        numbers["grad/gain"] = _over(*(numbers[f"grad/{name}/mean"] for name in self._names.values()))
        numbers["grad/rms_gain"] = _over(float(h.norms.norm()), float(z.norms.norm()))
        if len(bounds := seen[BOUND].norms):
            numbers["grad/gain_bound"] = norm_numbers(bounds)["max"]
        return numbers

    def _measure(self) -> Tensor:
        """Returns the step's norms by part, on the device: gradients before and after clipping, weights, updates."""
        measured = [self._raw, self._norms.of_gradients(), self._norms.of_weights()]
        return torch.cat([*measured, self._norms.of_updates()] if self._updates else measured)

    def _parameter_numbers(self, measured: Tensor, *, made: bool) -> dict[str, float]:
        """Returns the logged numbers of `_measure`; gradients of a skipped step, which overflowed, become NaN."""
        raw, clipped, weights, *updates = measured.view(-1, len(self._norms.parts))
        if not made:
            raw, clipped = (torch.full_like(raw, torch.nan) for _ in range(2))
        return self._norms.numbers(raw, clipped, weights, updates[0] if updates else None)


def _over(h: float, z: float) -> float:
    return h / z if z else float("nan")
