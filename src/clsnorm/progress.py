"""How far a task is: a bar on a terminal; elsewhere, such as in a log file, a line now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm
from typing_extensions import override

log = logging.getLogger(__name__)
EVERY = 30.0  # seconds between two lines
ROWS: dict[str, Any] = {"unit": " rows", "delay": 0.5}  # options of bars that count rows


def duration(seconds: float) -> str:
    """Returns a time for people.

    Example:
        >>> [duration(seconds) for seconds in (4, 90, 4000, 200_000)]
        ['4 s', '2 min', '1 h 07 min', '2 d 8 h']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


class ProgressLog:
    """Logs a line if the last one is `EVERY` seconds old; the first one when the task has taken that long.

    Args:
        what: The task, with which each line begins.
        total: Its size; None: unknown.
        done: What was done before.
        clock: Returns seconds.
    """

    def __init__(
        self, what: str, total: float | None, *, done: float = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._total, self._before, self._clock = what, total, done, clock
        self._began = self._last = clock()

    def update(self, done: float, facts: Callable[[], str] = str) -> None:
        """Notes that ``done`` of the whole is done; ``facts`` returns what else a line says."""
        if (now := self._clock()) - self._last < EVERY:
            return
        self._last = now
        more = facts()
        log.info("%s: %s%s", self._what, self._text(done, now - self._began), f", {more}" if more else "")

    def _text(self, done: float, seconds: float) -> str:
        if self._total is None:
            return f"{done:g} after {duration(seconds)}"
        text = f"{done:g} of {self._total:g}"
        left = seconds * (self._total - done) / (done - self._before) if done > self._before else None
        return text if left is None else f"{text}, about {duration(left)} left"


class ProgressBar(tqdm):
    """A bar that a loop or `update` moves; off a terminal, a `ProgressLog`.

    Args:
        iterable: What to loop over; None: `update` is called.
        what: The task.
        total: Its size; None: that of the iterable, if it has one.
        shown: Whether to show anything.
        options: Of tqdm's bar.
    """

    def __init__(
        self, iterable: Iterable[Any] | None = None, *, what: str, total: int | None = None, shown: bool = True,
        **options: Any,
    ) -> None:  # fmt: skip
        live = shown and sys.stderr.isatty()
        super().__init__(iterable, desc=what, total=total, leave=False, disable=not live, **options)
        self._log = ProgressLog(what, self.total, done=self.n) if shown and not live else None

    @override
    def __iter__(self) -> Iterator[Any]:
        if self._log is None:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    @override
    def update(self, n: float | None = 1) -> bool | None:
        """Notes that ``n`` more are done."""
        if self._log is None:
            return super().update(n)
        self.n += n or 0
        self._log.update(self.n)
        return None
