"""Gradients of each example at [CLS], and of the parameters by part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.logs import log_directly
from clsnorm.callbacks.observer import Observer
from clsnorm.distributed import world_size
from clsnorm.errors import require_switch, require_whole
from clsnorm.gradients import (
    Examples,
    GradientAlarms,
    GradientWindow,
    ParameterNorms,
    RunGradients,
    StepVectors,
    TokenGradients,
    bound_at_z,
    direction_numbers,
    head_gram,
    head_norms,
    norm_numbers,
    overlap_numbers,
)
from clsnorm.lightning_internals import StepWatch, ends_step, is_logged, loss_scaler, scale_on_device, step_number
from clsnorm.lightning_loop import share_norms

EMBEDDING = "embedding"  # h itself, not its gradient
BOUND = "gain_bound"  # of each example, from the normalizer
POINTS = ("h", "z")  # where directions are measured, too
JUDGED = ("h", "below_norm", "head_weight")  # whose largest norms may explode


class GradientNorms(Observer):
    """Logs the gradients of single examples before (``h``) and after (``z``) the normalizer, and of the parameters.

    Each row of the gradient at [CLS] belongs to one example; it is rescaled to the gradient of the *example's own
    loss*: AMP's scale, the mean over the step's examples and DDP's factor are undone. If the
    normalizer mixes the batch's gradients, a row at ``h``, and at any place before it, is a gradient of the *sum* of
    all losses, and its point is called ``h_of_sum``. There is no second backward pass, and the host waits for the
    device once in a logged step and never in the others. The numbers cover all steps since the last logged one, exactly
    on any number of devices. A step that AMP's gradient scaler skipped does not count: neither its examples, nor, if it
    is a logged step, its parameters' gradients, which are then logged as NaN.

    Logged every ``log_every_n_steps``:

    - ``grad/{point}/{mean,median,p95,p99,max}``: of the norms ``||g_i||``; ``mean`` and ``max`` are infinite if a norm
      is not finite. Further points: ``below_norm`` (``below_norm_of_sum``), [CLS] at the input of the layer norm that
      outputs the encoder's last hidden state, where dimensions that hardly vary no longer inflate a gradient; and
      ``head_weight`` and ``head_bias``, an example's gradient at the parameters of a linear head (`head_norms`).
    - ``grad/{h,z}/{mean_norm,agreement,signal_to_noise,noise_scale,top_energy_share,participation_ratio}``:
      `clsnorm.gradients.direction_numbers`.
    - ``grad/h/{top_overlap,rank_correlation}`` with the embedding's own energy: `clsnorm.gradients.overlap_numbers`.
    - ``grad/gain``: mean norm at h over mean norm at z; ``grad/rms_gain``: the same of root mean squares;
      ``grad/gain_bound``: an upper bound of the latter, and of the former if the normalizer does not mix the batch:
      the largest singular value of an example's Jacobian (`Normalizer.gain_bound`; absent if none is known).
    - ``grad/z/bound``: what a norm at z cannot exceed with a linear head and a loss of classes (`bound_at_z`).
    - ``grad/layer00/cls``, ... and ``grad/layer00/cls_to_others``, ...: at [CLS] of each layer, and relative to other
      tokens, of the logged step's examples (`TokenGradients`).
    - ``grad/parameters/{part}`` and ``grad/parameters/total``: norm of the step's gradients (after accumulation, AMP
      and DDP), before clipping; ``grad/clipped/...``: after it; ``grad/clip_coefficient``: the latter total over the
      former; ``grad/update_ratio/{part}``: norm of the step's change over the norm of the weights. Parts are named by
      `clsnorm.gradients.part_names`; ``body`` is the encoder without its last layer norm.
    - ``grad/depth/{bottom,bottom_to_top,log_slope}``: `clsnorm.gradients.depth_profile`.

    These are at most ``65 + 11 L`` numbers for a model of L layers, in JSON at most 75 bytes each: 15 kB for 12 layers.

    Events (``events.csv``), with the number of their step, reported at the next logged step: ``explosion``, ``spike``
    and ``vanishing`` (`GradientAlarms`). They judge each step's largest norm at h, at ``below_norm`` and at
    ``head_weight``, and its ``grad/parameters/total``. The reference of the level at h is ``grad/z/bound`` of the first
    weights, which all normalizers share: the identity's gradient at h cannot exceed it at first.

    The norms of the whole run are stored in ``statistics/gradients.npz`` (by point, and ``gain_bound`` of each
    example); their percentiles are in the results as ``grad/run/{point}/...``. ``statistics/gradient_steps.npz`` has
    the numbers of each step: ``{point}/max`` and ``{point}/mean``, the norm of each part's gradient
    (``parameters/{part}``, before clipping), and ``clip_coefficient``. `clsnorm.gradients.step_summary` of these and
    `clip_summary` are in the results as ``grad/steps/...``.

    Args:
        top: Dimensions in the energy share and the overlap.
        updates: Whether to log ``update_ratio``; it needs a copy of the weights.
        window: Steps that define which norms are usual.
        deviations: Standard deviations of the log norm above the usual level that are a spike.
        growth: Factor of steady growth of an example's norm that counts as an explosion.
        level: How many times the reference an example's norm at h may be throughout; None: there is no such limit.

    Raises:
        InputError: If ``top`` is not from 1 to the dimensions of [CLS], ``updates`` is not true or false, or
            `GradientAlarms` refuses an argument.
    """

    kinds = GradientAlarms.kinds

    def __init__(
        self, *, top: int, updates: bool, window: int, deviations: float, growth: float, level: float | None
    ) -> None:
        require_whole("gradient_norms.top", top, least=1, advice="It counts dimensions")
        require_switch("gradient_norms.updates", updates)
        self._top, self._updates = top, updates
        self._alarms = GradientAlarms(window=window, deviations=deviations, growth=growth, level=level)
        self._run = RunGradients()
        self._saved: dict[str, Any] | None = None
        self._handles: list[Any] = []

    @override
    def check(self, *, dim: int) -> None:
        require_whole("gradient_norms.top", self._top, least=1, most=dim, advice=f"[CLS] has {dim} dimensions")

    @override
    def summary(self) -> dict[str, float]:
        return super().summary() | self._run.summary()

    @override
    def state_dict(self) -> dict[str, Any]:
        window = {"examples": self._window.state_dict(), "parameters": self._vectors.state_dict()}
        states = {"window": window, "alarms": self._alarms.state_dict(), "run": self._run.state_dict()}
        return super().state_dict() | states

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._saved = state_dict["window"]
        self._alarms.load_state_dict(state_dict["alarms"])
        self._run.load_state_dict(state_dict["run"])

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier = self.classifier(pl_module)
        before = "_of_sum" if classifier.normalizer.mixes_gradients else ""
        self._names = {"h": f"h{before}", "z": "z", "below_norm": f"below_norm{before}"}
        self._names |= {name: name for name in ("head_weight", "head_bias")}
        self._normalizer = classifier.normalizer
        self._norms = ParameterNorms(classifier, classifier.encoder.output_norm())
        dims = {
            **dict.fromkeys((*self._names, BOUND), 1),
            **dict.fromkeys(("h", "z", EMBEDDING), classifier.encoder.dim),
        }
        self._window = GradientWindow(dims)
        self._vectors = StepVectors(len(self._norms.parts) + 1)
        self._tokens = TokenGradients(classifier.encoder, lambda rows: self._window.update_norms("below_norm", rows))
        self._handles = [
            classifier.normalizer.register_forward_hook(self._see),
            classifier.head.register_forward_hook(self._see_head),
            self._tokens,
        ]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps = StepWatch(trainer.optimizers[0])
        if self._saved is not None:  # some strategies read the checkpoint only after on_fit_start
            self._window.load_state_dict(self._saved["examples"])
            self._vectors.load_state_dict(self._saved["parameters"])
            self._saved = None
        elif trainer.global_step == 0 and (gram := head_gram(self.classifier(pl_module).head)) is not None:
            self._alarms.set_reference(self._bound(pl_module, gram.cpu()))

    def _bound(self, pl_module: pl.LightningModule, gram: Tensor) -> float:
        dropout = self.classifier(pl_module).dropout.p
        return bound_at_z(gram, dropout=dropout, residual_bound=self.loss(pl_module).residual_bound)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._due = is_logged(trainer)
        self._batch, self._loss = batch, self.loss(pl_module)
        self._scaler = loss_scaler(trainer)
        self._tokens.start(batch, self._factor, layers=self._due)

    def _factor(self) -> float | Tensor:
        """Returns the factor from a gradient in the backward pass to that of an example's own loss."""
        factor = self._batch.step_size / world_size()
        return factor if self._scaler is None else factor / scale_on_device(self._scaler)

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
        self._window.update(point, gradient.float() * self._factor())

    def _see_head(self, head: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        """Takes each example's gradient at the head in a training step."""
        if head.training and logits.requires_grad:
            residual = self._loss.residuals(logits, self._batch.labels)
            for name, norms in (head_norms(head, inputs[0], residual) or {}).items():
                self._window.update(f"head_{name}", norms[:, None])

    @override
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        each = self._norms.of_each_gradient()
        share_norms(trainer, self._norms.parameters, each)
        self._raw = self._norms.of_parts(each)
        if self._due:
            gram = head_gram(self.classifier(pl_module).head)
            self._gram = torch.zeros(0, 0, dtype=torch.float64) if gram is None else gram
            if self._updates:
                self._norms.keep_weights()

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._tokens.end()
        if not ends_step(trainer):
            return
        step, made = step_number(trainer), self._steps.take()
        self._window.end_step(step, made=made)
        if made:
            self._vectors.add(step, self._raw)
        if self._due:
            self._log(trainer, pl_module, step, made=made)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int, *, made: bool) -> None:
        """Reads the numbers since the last logged step, logs and judges them."""
        of_step = [self._measure(), self._tokens.take_sums(), self._gram.flatten()]
        seen, read = self._window.take([*of_step, self._vectors.packed()])
        measured, sums, gram, vectors = read
        self.numbers.update(self._example_numbers(seen) | self._parameter_numbers(measured, made=made))
        self.numbers.update(self._tokens.numbers(sums))
        if len(gram) and not math.isnan(bound := self._bound(pl_module, gram.view(self._gram.shape))):
            self.numbers["grad/z/bound"] = bound
        log_directly(trainer, dict(self.numbers), step=step)
        self._judge(trainer, seen, vectors)
        for event in self._alarms.of_depth(step, self.numbers) if made else ():
            self.report(**event)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps.remove()
        seen, (vectors,) = self._window.take([self._vectors.packed()])  # steps after the last logged one
        self._judge(trainer, seen, vectors)
        if trainer.is_global_zero:
            self._run.write(Path(trainer.default_root_dir) / "statistics")

    def _judge(self, trainer: pl.Trainer, seen: dict[str, Examples], vectors: Tensor) -> None:
        """Adds examples and steps to those of the run and reports their events."""
        events: list[dict[str, Any]] = []
        for point, name in self._names.items():
            largest = self._run.add_examples(name, seen[point])
            if point in JUDGED and largest:
                events += self._alarms.of_examples(f"grad/{name}/max", largest, at_h=point == "h")
        self._run.add_examples(BOUND, seen[BOUND], by_step=False)
        parts = {step: self._norms.by_name(norms) for step, norms in self._vectors.take(vectors).items()}
        clip = None if trainer.gradient_clip_algorithm == "value" else float(trainer.gradient_clip_val or 0)
        totals = self._run.add_parameters(parts, clip=clip)
        events += self._alarms.of_parameters("grad/parameters/total", totals)
        for event in sorted(events, key=lambda event: event["step"]):
            self.report(**event)

    def _example_numbers(self, seen: dict[str, Examples]) -> dict[str, float]:
        """Returns the logged numbers of a window's examples."""
        numbers: dict[str, float] = {}
        for point, name in self._names.items():
            if point in POINTS or len(seen[point].norms):
                numbers |= {f"grad/{name}/{key}": value for key, value in norm_numbers(seen[point].norms).items()}
        for point in POINTS:
            found = direction_numbers(seen[point].norms, seen[point].sums, top=self._top)
            numbers |= {f"grad/{self._names[point]}/{key}": value for key, value in found.items()}
        h, z = (seen[point] for point in POINTS)
        overlap = overlap_numbers(h.sums["square"], seen[EMBEDDING].sums["square"], top=self._top)
        numbers |= {f"grad/{self._names['h']}/{key}": value for key, value in overlap.items()}
        numbers["grad/gain"] = _over(*(numbers[f"grad/{self._names[point]}/mean"] for point in POINTS))
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
        raw, clipped, weights, *updates = measured.view(-1, len(self._norms.parts) + 1)
        if not made:
            raw, clipped = (torch.full_like(raw, torch.nan) for _ in range(2))
        return self._norms.numbers(raw, clipped, weights, updates[0] if updates else None)


def _over(h: float, z: float) -> float:
    return h / z if z else float("nan")
