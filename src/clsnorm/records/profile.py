"""What observation costs a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.callbacks import Callback
from typing_extensions import override


class Profile(Callback):
    """Counts the seconds of each observer, across interruptions, and their share of the training time.

    All calls of an observer's methods count, with the passes over data that they start and their writing to files and
    loggers. Other callbacks, such as a progress bar, and Lightning's own work to call a hook do not count. All times
    are those of rank 0.

    Args:
        seconds: By the observer's name: its seconds within training steps (``steps``) and elsewhere (``passes``);
            the observer's own counters, which keep counting.
    """

    def __init__(self, seconds: Mapping[str, dict[str, float]]) -> None:
        self._seconds = seconds

    @override
    def state_dict(self) -> dict[str, Any]:
        return {name: dict(spent) for name, spent in self._seconds.items()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, before in state_dict.items():
            if name in self._seconds:
                for kind, seconds in before.items():
                    self._seconds[name][kind] += seconds

    def shares(self, training_seconds: float) -> dict[str, dict[str, float]]:
        """Returns, by observer, ``seconds`` in all, ``step_seconds`` of them, and both as a share of the training.

        Args:
            training_seconds: Wall time inside training steps, observers included.
        """
        found = {}
        for name, spent in self._seconds.items():
            parts = {"seconds": sum(spent.values()), "step_seconds": spent["steps"]}
            share = {
                key.replace("seconds", "share"): value / training_seconds if training_seconds else float("nan")
                for key, value in parts.items()
            }
            found[name] = parts | share
        return found
