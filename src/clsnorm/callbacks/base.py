"""`Observer`: a callback whose last numbers belong into the results."""

from collections.abc import Callable
from typing import Any, ClassVar

from pytorch_lightning.callbacks import Callback


def _say_nothing(**event: Any) -> None:
    pass


class Observer(Callback):
    """Watches a run without changing it.

    To add one: subclass, log in Lightning's hooks, return from `summary` what should stand in ``results.json``, export
    the class in ``clsnorm.callbacks`` and add ``conf/callbacks/<name>.yaml`` with an entry of that name.

    Attributes:
        kinds: Kinds of events that it tells of, which ``abort_on`` may name.
        tell: Takes ``step``, ``kind``, ``place``, ``value`` of an event, for ``events.csv`` and the loggers. Call it
            alike on all processes: it may end training. The builder gives it.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    tell: Callable[..., None] = staticmethod(_say_nothing)

    def summary(self) -> dict[str, float]:
        """Returns the last value of each logged number."""
        return {}
