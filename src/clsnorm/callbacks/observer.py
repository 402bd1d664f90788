"""`Observer`: a callback whose last numbers go into the results, and whose time is measured."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.losses import Loss
    from clsnorm.model import Classifier

STEP_HOOKS = {
    "on_train_batch_start",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "on_train_batch_end",
}


def _report_nowhere(**event: Any) -> None:
    pass


class Observer(Callback):
    """Watches a run without changing it.

    To add one: subclass, log in Lightning's hooks (or in `on_validation_outputs`), put each logged number into
    `numbers`, export the class in ``clsnorm.callbacks`` and add ``conf/callbacks/<name>.yaml`` with an entry of that
    name. For other state that must survive an interruption, extend ``state_dict`` and ``load_state_dict``.

    Subclassing wraps each method of the new class in a timer, except those that start with two underscores. So all its
    code is timed: Lightning's hooks, with the passes over data that they start, and hooks of modules and tensors. A
    method that calls another is counted once. The times are in `seconds` and, as ``profile``, in the results. It is the
    host's time: work that a hook gives to a GPU without waiting counts in the step that waits for it.

    Attributes:
        kinds: Kinds of events that it can report, which ``abort_on`` may name.
        report: Takes ``step``, ``kind``, ``place`` and ``value`` of an event, for ``events.csv`` and the loggers. Call
            it on all processes with the same values: it may end training, unless called with ``decisive=False``. It is
            set when the run is assembled.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    report: Callable[..., None] = staticmethod(_report_nowhere)
    _is_timed = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("__"):
                setattr(cls, name, _timed(method, _kind(name)))

    @functools.cached_property
    def numbers(self) -> dict[str, float]:
        """The last value of each logged number; stored in resume points, and returned by `summary`."""
        return {}

    @functools.cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds in its methods so far: in training steps (``steps``) and everywhere else (``passes``)."""
        return {"steps": 0.0, "passes": 0.0}

    def check(self, *, dim: int) -> None:
        """Checks, before a run starts, that the arguments fit a [CLS] embedding of ``dim`` dimensions.

        Raises:
            InputError: If one does not.
        """

    def summary(self) -> dict[str, float]:
        """Returns the numbers for ``results.json``."""
        return dict(self.numbers)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"numbers": dict(self.numbers)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.numbers.update(state_dict.get("numbers", {}))  # files of older versions may have none

    @staticmethod
    def data(trainer: pl.Trainer) -> DataModule:
        """Returns the run's data."""
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]  # set by a connector
        return data

    @staticmethod
    def classifier(pl_module: pl.LightningModule) -> Classifier:
        """Returns the classifier of the `clsnorm.model.FineTuner` that is trained."""
        classifier: Classifier = pl_module.classifier  # type: ignore[assignment]
        return classifier

    @staticmethod
    def loss(pl_module: pl.LightningModule) -> Loss:
        """Returns the loss that the module trains with."""
        loss: Loss = pl_module.loss  # type: ignore[assignment]
        return loss

    def on_validation_outputs(self, pl_module: pl.LightningModule, outputs: Any) -> None:
        """Called with the outputs of each validation step; the short form of Lightning's ``on_validation_batch_end``.

        Args:
            pl_module: The module that is validated.
            outputs: What its step returned, such as ``h``, ``z``, ``logits`` and ``labels`` of the batch.
        """

    @override
    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.on_validation_outputs(pl_module, outputs)


def _kind(name: str) -> str:
    """Returns where a method counts. Hooks of modules and tensors, unknown to Lightning, run in training steps."""
    return "steps" if name in STEP_HOOKS or not hasattr(Observer, name) else "passes"


def _timed(method: Callable[..., Any], kind: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def timed(self: Observer, *arguments: Any, **named: Any) -> Any:
        if self._is_timed:
            return method(self, *arguments, **named)
        self._is_timed, started = True, time.perf_counter()
        try:
            return method(self, *arguments, **named)
        finally:
            self.seconds[kind] += time.perf_counter() - started
            self._is_timed = False

    return timed
