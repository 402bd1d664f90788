"""The one way in which callbacks report an event."""

from __future__ import annotations

from clsnorm import distributed
from clsnorm.records.stopping import Abort
from clsnorm.run_folder.events import Events


class EventReport:
    """Stores an event in ``events.csv``, sends its count to the loggers, and lets `Abort` end training.

    Call it with the same event on all processes.

    Args:
        events: The file.
        abort: Takes decisive events.
    """

    def __init__(self, events: Events, abort: Abort) -> None:
        self._events, self._abort = events, abort

    def __call__(
        self,
        *,
        step: int,
        kind: str,
        place: str = "",
        value: float | str = "",
        rank: int | str = "",
        decisive: bool = True,
    ) -> None:
        """Reports an event, as `clsnorm.run_folder.events.Events` defines it; a ``decisive`` one may end training."""
        if decisive:
            self._abort.notice(kind)
        if distributed.rank() == 0:
            self._events.add(step=step, kind=kind, place=place, value=value, rank=rank)
