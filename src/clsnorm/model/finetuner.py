"""`FineTuner`: the LightningModule. It connects classifier, losses and scores, which do the computing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from clsnorm.batches import Batch
from clsnorm.distributed import all_reduce_sum, rank, world_size
from clsnorm.errors import refuse
from clsnorm.lightning_internals import (
    ends_step,
    is_logged,
    leave_unscaling_to_scaler,
    log_again,
    loss_scaler,
    scale_on_device,
)
from clsnorm.losses import Loss, example_losses
from clsnorm.metrics import predictions
from clsnorm.model.classifier import Classifier, Output
from clsnorm.model.encoder.freezing import leave_out
from clsnorm.model.places import tapping
from clsnorm.model.refusals import require_effect
from clsnorm.model.scores import Scores
from clsnorm.model.sharding import shard
from clsnorm.optim.groups import apply_rates, count_layers, matrices, parameter_groups
from clsnorm.regularizers import Regularizer, Unregularized

StepOutput = dict[str, Tensor]


class FineTuner(pl.LightningModule):
    """Fine-tunes a classifier and scores it.

    The gradient of an optimizer step is that of the mean loss over all its examples: of one batch, or of several whose
    gradients are accumulated, also if the batches differ in size or the last step of an epoch has fewer of them. For
    this, the training loss is ``sum of this process's losses * processes * batches per step / examples of the step``:
    Lightning divides by the batches per step, and DDP takes the mean over processes. So gradients equal those of one
    process with one large batch, also with uneven or empty parts.

    Logs ``train/loss`` (that mean), ``select/loss``, ``select/<metric>``, and for each of ``report_names``
    ``<name>/loss`` and ``<name>/<metric>``. Steps return ``loss``, ``logits``, ``labels``, ``example_ids``, ``h`` and
    ``z``, all but the training loss detached. A loss that is not finite does not raise.

    The random state for dropout is set before each training batch from (seed, batch, process): masks are the same for
    all normalizers, and a resumed run has the same masks.

    Args:
        classifier: The classifier to train.
        loss: Of each training example. Splits are scored by the task's own loss, whatever this one is.
        metrics: By name; they take ``(probabilities, labels)``, or ``(values, targets)`` in regression.
        report_names: Names of the test dataloaders, in their order.
        optimizer: Called with the parameter groups.
        scheduler: Called with the optimizer and ``num_training_steps``; stepped after each optimizer step.
        seed_dropout: Seed of the dropout masks.
        regularizer: Adds a term to the training loss, that of each batch weighted by its share of the step's examples
            (`clsnorm.regularizers.Regularizer`); None: nothing. A step's term is logged as ``train/regularizer``, and
            times its weight as ``train/regularizer_scaled``; ``train/loss`` does not include it.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        loss: Loss,
        metrics: Mapping[str, Metric],
        report_names: Sequence[str],
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        seed_dropout: int,
        regularizer: Regularizer | None = None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.regularizer = Unregularized() if regularizer is None else regularizer
        self.regularizer.require_place(count_layers(name for name, _ in classifier.named_parameters()))
        self._require_effect()
        self._matrices = matrices(classifier)
        self.strict_loading = not classifier.encoder.frozen_layers  # a sharded module does not fill in what is left out
        self.loss = _without_parameters(loss)
        self.regression = loss.task.regression
        self._select = Scores(metrics)
        self._reports = {name: Scores(metrics) for name in report_names}
        self.optimizer = optimizer
        self._scheduler = scheduler
        self._seed_dropout = seed_dropout
        self._step_terms: list[Tensor] = []  # the regularizer's, of each batch of the open step, by its share
        self._step_losses: list[Tensor] = []  # sum over this process's examples, of each batch of the open step

    def _require_effect(self) -> None:
        encoder, normalizer = self.classifier.encoder, self.classifier.normalizer
        require_effect(
            self.regularizer,
            frozen_layers=encoder.frozen_layers,
            is_frozen=encoder.is_frozen,
            learns=any(True for _ in normalizer.parameters()),
        )

    def forward(self, batch: Batch) -> Output:
        """Returns logits and the embeddings on both sides of the normalizer."""
        output: Output = self.classifier(batch)
        return output

    def setup(self, stage: str) -> None:
        # Scores are reduced before they are logged; Lightning cannot know that and advises to use sync_dist.
        warnings.filterwarnings("ignore", message=r"It is recommended to use `self\.log")
        if self.classifier.encoder.frozen_layers:
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")

    def configure_model(self) -> None:
        """Shards the classifier if the strategy has a device mesh."""
        if self.device_mesh is not None:
            shard(self.classifier, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Builds the optimizer over `parameter_groups`, and the schedule over the whole training."""
        groups = parameter_groups(self.classifier, self._matrices, rates=self.classifier.rates())
        optimizer = self.optimizer(groups)
        leave_unscaling_to_scaler(optimizer)
        apply_rates(optimizer)
        self.classifier.matching.attach(optimizer, self.classifier.head)
        steps = self.trainer.estimated_stepping_batches
        scheduler = self._scheduler(optimizer, num_training_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out what is frozen: it is what ``model.path`` holds."""
        encoder = self.classifier.encoder
        if encoder.frozen_layers:
            leave_out(encoder, checkpoint["state_dict"], "classifier.encoder.")

    def on_train_start(self) -> None:
        self.classifier.start_training()  # after a resume point was loaded, with any strategy

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        key = [self._seed_dropout, self.trainer.fit_loop.total_batch_idx, rank()]
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
        # On a CPU, only its generator draws. Seeding those of absent devices formats a stack for each of them.
        (torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed)(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        with self._layers() as layers:
            output = self(batch)
        losses = self.loss(output.logits, batch.labels)
        total = losses.sum()
        # With equal batches the divisor is the size of one, so that no rounding is added.
        loss = total * world_size() / (batch.step_size / self.trainer.accumulate_grad_batches)
        if self.regularizer.is_active:
            loss = loss + self._regularize({**layers, "h": output.h, "z": output.z}, batch)
        self._log_training_loss(total, batch)
        return _step_output(loss, output, batch)

    def _layers(self) -> AbstractContextManager[Mapping[str, Tensor]]:
        """Returns a block that yields [CLS] of all layers after a forward pass, if the regularizer reads them."""
        return tapping(self.classifier.encoder) if self.regularizer.reads_layers else nullcontext({})

    def _regularize(self, places: Mapping[str, Tensor], batch: Batch) -> Tensor | float:
        """Returns what the regularizer adds to the loss of a batch, and logs the step's term at its last batch.

        The term is that of the global batch, the same on all processes, and so is not multiplied by their number:
        its backward pass sums gradients over processes, of which the strategy takes the mean.
        """
        term = self.regularizer(self.regularizer.choose(places))
        share = batch.global_size / batch.step_size
        self._step_terms.append(term.detach() * share)
        if ends_step(self.trainer):
            value, self._step_terms = torch.stack(self._step_terms).sum(), []
            numbers = {"train/regularizer": value, "train/regularizer_scaled": value * self.regularizer.weight}
            self.log_dict(numbers, rank_zero_only=True, batch_size=batch.step_size)
        if self.regularizer.weight == 0:
            return 0.0
        return self.regularizer.weight * share * self.trainer.accumulate_grad_batches * term.float()

    def on_before_backward(self, loss: Tensor) -> None:
        if (scaler := loss_scaler(self.trainer)) is not None:
            self.classifier.normalizer.take_loss_scale(scale_on_device(scaler))

    def _log_training_loss(self, total: Tensor, batch: Batch) -> None:
        """Logs the step's mean loss at its last batch; with several processes only on logged steps, for speed."""
        self._step_losses.append(total.detach())
        if not ends_step(self.trainer):
            return
        own, self._step_losses = torch.stack(self._step_losses).sum(), []
        if is_logged(self.trainer) or world_size() == 1:
            value = all_reduce_sum(own) / batch.step_size
            if not log_again(self, "train/loss", value):
                self.log("train/loss", value, prog_bar=True, rank_zero_only=True, batch_size=batch.step_size)

    def on_validation_epoch_start(self) -> None:
        self._select.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        return self._evaluate(batch, self._select)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("select", self._select, prog_bar=True)

    def on_test_epoch_start(self) -> None:
        for scores in self._reports.values():
            scores.reset()

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> StepOutput:
        return self._evaluate(batch, list(self._reports.values())[dataloader_idx])

    def on_test_epoch_end(self) -> None:
        for name, scores in self._reports.items():
            self._log_scores(name, scores, prog_bar=False)

    def _evaluate(self, batch: Batch, scores: Scores) -> StepOutput:
        output = self(batch)
        losses = example_losses(output.logits, batch.labels, regression=self.regression)
        scores.update(batch.example_ids, predictions(output.logits, regression=self.regression), batch.labels, losses)
        return _step_output(losses.sum() / max(1, len(batch)), output, batch)

    def _log_scores(self, split: str, scores: Scores, *, prog_bar: bool) -> None:
        """Logs on all processes: checkpoints and early stopping read the monitored value on each of them."""
        for name, value in scores.compute().items():
            self.log(f"{split}/{name}", torch.tensor(value, dtype=torch.float64, device="cpu"), prog_bar=prog_bar)
        scores.reset()


def _without_parameters(loss: Loss) -> Loss:
    if names := [name for name, _ in loss.named_parameters()]:
        refuse("loss", "without parameters: the optimizer has those of the classifier alone", ", ".join(names))
    return loss


def _step_output(loss: Tensor, output: Output, batch: Batch) -> StepOutput:
    return {
        "loss": loss,
        "logits": output.logits.detach(),
        "labels": batch.labels,
        "example_ids": batch.example_ids,
        "h": output.h.detach(),
        "z": output.z.detach(),
    }
