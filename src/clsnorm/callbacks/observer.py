"""`Observer`: a callback whose last numbers belong into the results, and which knows what it costs."""

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

    To add one: subclass, log in Lightning's hooks, return from `summary` what should stand in ``results.json``, export
    the class in ``clsnorm.callbacks`` and add ``conf/callbacks/<name>.yaml`` with an entry of that name.

    Each call of a method of a subclass is timed, by itself: Lightning's hooks, with the passes over data that they
    start, and what modules and tensors call back. Calls within a call count once. It is the host's time: what a hook
    gives to a GPU without waiting counts in the step that waits for it.

    Attributes:
        kinds: Kinds of events that it reports, which ``abort_on`` may name.
        report: Takes ``step``, ``kind``, ``place``, ``value`` of an event, for ``events.csv`` and the loggers. Call it
            alike on all processes: it may end training, unless it is given ``decisive=False``. The builder gives it.
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
    def seconds(self) -> dict[str, float]:
        """Time in its methods so far: within training steps (``steps``) and anywhere else (``passes``)."""
        return {"steps": 0.0, "passes": 0.0}

    def check(self, *, dim: int) -> None:
        """Refuses, before a run starts, what does not fit a [CLS] embedding of ``dim`` dimensions.

        Raises:
            InputError: If an argument does not.
        """

    def summary(self) -> dict[str, float]:
        """Returns the last value of each logged number."""
        return {}

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
    """A method that Lightning does not know is called by a module or a tensor: in a forward or a backward pass."""
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
