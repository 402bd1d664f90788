"""How long a job will take and how much room its folder: from runs that have finished, else from its configuration."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

DEFAULT_ROWS = 10_000  # of a data set that states none
TOKENS_PER_WORD = 1.3
PER_STEP = 40  # a step costs about as much as so many more tokens would, whatever its batch
TABLES = 300_000  # bytes of all files of a run but its weights, roughly


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what time, size and place of a run depend on, from its resolved configuration; {} for other kinds."""
    data, trainer = config.get("data"), config.get("trainer")
    if not isinstance(data, Mapping) or not isinstance(trainer, Mapping):
        return {}
    stated = (data.get("rows") or {}).get("train") if isinstance(data.get("rows"), Mapping) else None
    limit = data.get("max_train_examples")
    rows = min(number for number in (limit, stated or DEFAULT_ROWS) if isinstance(number, int | float))
    words = (data.get("about") or {}).get("typical_length") if isinstance(data.get("about"), Mapping) else None
    length = data.get("max_length") or 128
    return {
        "data": data.get("name"),
        "model": (config.get("model") or {}).get("path"),
        "freeze": (config.get("model") or {}).get("freeze"),
        "normalizer": (config.get("normalizer") or {}).get("_target_"),
        "rows": rows,
        "length": min(length, TOKENS_PER_WORD * words + 2) if words else length,
        "epochs": trainer.get("max_epochs"),
        "max_steps": trainer.get("max_steps"),
        "batch": data.get("batch_size"),
        "keep_weights": config.get("keep_weights", "selected"),
        "check_every": trainer.get("val_check_interval"),
        "devices": trainer.get("devices"),
        "accelerator": trainer.get("accelerator"),
    }


def work(settings: Mapping[str, Any]) -> float:
    """Returns the work of a run, in tokens trained on; comparable between runs of one model. 0 if unknown."""
    try:
        return _steps(settings) * (float(settings["batch"]) * float(settings["length"]) + PER_STEP)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def stored_weights(settings: Mapping[str, Any]) -> int | None:
    """Returns how many files of weights a finished run has (``keep_weights``); None if unknown."""
    kept = settings.get("keep_weights")
    if kept != "all":
        return int(kept != "none")
    try:
        steps, every = _steps(settings), settings["check_every"]
        between = float(every) if isinstance(every, int) else float(every) * settings["rows"] / settings["batch"]
        return 1 + math.ceil(steps / between)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _steps(settings: Mapping[str, Any]) -> float:
    """Returns the steps of a run; raises ValueError if they have no end."""
    steps, epochs = float(settings["max_steps"]), float(settings["epochs"])
    of_epochs = settings["rows"] / float(settings["batch"]) * epochs if epochs >= 0 else math.inf
    total = min(of_epochs, steps if steps >= 0 else math.inf)
    if total == math.inf:
        raise ValueError("no end")
    return total


class Expectation:
    """What finished runs say about others.

    Args:
        finished: Settings of each finished run, its seconds and its bytes.
    """

    def __init__(self, finished: Iterable[tuple[Mapping[str, Any], float, int]]) -> None:
        self._speeds: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        self._sizes: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for settings, seconds, size in finished:
            amount = work(settings)
            for key in _keys(settings) if amount and seconds > 0 else ():
                self._speeds[key].append(seconds / amount)
            self._sizes[_keep(settings)].append(size)

    def seconds(self, settings: Mapping[str, Any]) -> float | None:
        """Returns the expected time of a run; None if no comparable run has finished."""
        found = next((self._speeds[key] for key in _keys(settings) if key in self._speeds), None)
        amount = work(settings)
        return statistics.median(found) * amount if found and amount else None

    def size(self, settings: Mapping[str, Any]) -> int | None:
        """Returns the expected bytes of a run's folder; None if unknown."""
        if settings.get("keep_weights") == "none":
            return TABLES
        found = self._sizes.get(_keep(settings))
        return int(statistics.median(found)) if found else None

    def order(self, settings: Mapping[str, Any]) -> float:
        """Returns what to sort jobs by, longest first: expected seconds, or where these are unknown the work."""
        return self.seconds(settings) or work(settings)


def _keys(settings: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Returns groups of comparable runs, the narrowest first."""
    model = (settings.get("model"), settings.get("freeze"))
    return [(*model, settings.get("data"), settings.get("normalizer")), (*model, settings.get("data")), model]


def _keep(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    return settings.get("model"), stored_weights(settings)
