"""How much time observers add to a training step.

    python benchmarks/observers.py --cadences 10
    python benchmarks/observers.py --cadences 16 --arms "both,none again"  # a narrower interval in about the same time
    python benchmarks/observers.py --cadences 10 model=bert_base trainer.accelerator=gpu

One run trains on each batch several times in a row: without observers, with each of them, with both, and without any
again, in an order drawn for each batch. So the steps that are compared are about a second apart, in one process and
memory: what slows the machine down for longer affects both, and differences between two equal processes (2 % were
measured) play no role. The time of a step runs from its start to the start of the next one. It includes the loop,
logging and writing what was logged, and all work of a GPU. Batches are built before the run; without loading and
validations, the share of the observers is larger.

What observers do depends on a step's place in the cadence: they do little in most steps, more in logged ones, and most
in those that measure training batches. So ``paired`` takes, for each of these three kinds, the median difference
between a step and the same step without observers, and adds the three, weighted by their numbers in a cadence. It is a
share of the same sum for the medians without observers. The interval contains 95 % of the values from 2,000 resamples
of the steps of each kind. `none again` shows the noise: its interval should contain 0. ``counted`` is the time that
observers measure themselves (``step_share`` in the results).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from composed import resolved
from torch.utils.data import DataLoader

from clsnorm.callbacks import Observer
from clsnorm.config.roles import instantiate
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build
from clsnorm.run_folder import RunFolder

NAMES = ("cls_statistics", "gradient_norms")
ARMS = {"none": (), **{name: (name,) for name in NAMES}, "both": NAMES, "none again": ()}
RESAMPLES = 2000


class Cadence(NamedTuple):
    """Numbers of steps between two logged ones, and between two measurements of training batches."""

    logged: int
    measured: int

    def kinds(self) -> np.ndarray:
        """Returns the kind of each step of a cadence: 0, 1 if it is logged, 2 if training batches are measured, too."""
        steps = np.arange(1, self.measured + 1)
        return (steps % self.logged == 0).astype(int) + (steps % self.measured == 0)


class Turns(pl.Callback):
    """Runs each step with the observers of its arm and times it.

    Args:
        observers: By arm; each arm has separate ones.
        batches: Number of batches. A run has a step of each arm on each batch, and one more, whose start ends the last.

    Attributes:
        seconds: ``(batches, 2)`` by arm: time of a step, and the part of it that the observers measured.
    """

    def __init__(self, observers: Mapping[str, Sequence[Observer]], batches: int) -> None:
        self.seconds = {arm: np.full((batches, 2), np.nan) for arm in observers}
        self._observers, self._batches = observers, batches
        random = np.random.default_rng(0)
        self._orders = [random.permutation(list(observers)).tolist() for _ in range(batches + 1)]
        self._turn = 0  # number of the step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Hooks through which observers get embeddings: bound methods of the observers, or of their parts.
        hooks = [each for module in pl_module.modules() for each in (module._forward_hooks, module._forward_pre_hooks)]
        self._hooks = [(each, dict(each)) for each in hooks if each]
        self._watch(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, number: int) -> None:
        for logger in trainer.loggers:
            logger.save()  # else another step would write what this one has logged
        if self._turn:
            batch_number, arm = self._place(self._turn - 1)
            self.seconds[arm][batch_number] = self._read(arm) - self._started
        # The same place in the cadence for all arms, but separate rows in the metrics for each arm.
        batch_number, arm = self._place(self._turn)
        own = list(self.seconds).index(arm) * self._batches
        trainer.fit_loop.epoch_loop._batches_that_stepped = own + batch_number
        self._started = self._read(arm)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        self._turn += 1
        self._watch(trainer)  # from the next step on: the current loop over callbacks keeps its list

    def _watch(self, trainer: pl.Trainer) -> None:
        observers = self._observers[self._place(self._turn)[1]]
        others = {observer for arm in self._observers.values() for observer in arm} - {*observers}
        trainer.callbacks = [self, *observers]  # type: ignore[attr-defined]  # set by a connector
        idle = {id(part) for observer in others for part in (observer, *vars(observer).values())}
        for hooks, all_of_them in self._hooks:
            hooks.clear()
            hooks.update(
                {n: hook for n, hook in all_of_them.items() if id(getattr(hook, "__self__", None)) not in idle}
            )

    def _place(self, turn: int) -> tuple[int, str]:
        """Returns the number of the batch of a step, and its arm."""
        batch, place = divmod(turn, len(self.seconds))
        return batch, self._orders[batch][place]

    def _read(self, arm: str) -> np.ndarray:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return np.array([time.perf_counter(), sum(observer.seconds["steps"] for observer in self._observers[arm])])


def measure(overrides: list[str], *, arms: Sequence[str], cadences: int) -> tuple[Cadence, dict[str, np.ndarray]]:
    """Trains; returns, by arm, the seconds of each step and those counted, ``(steps, 2)``, without the warm-up.

    Raises:
        InputError: If gradients are accumulated: the batches of one step would belong to several arms.
    """
    config = resolved([f"callbacks=[{','.join(NAMES)}]", *overrides])
    described, trainer_options = config["callbacks"], config["trainer"]
    if trainer_options["accumulate_grad_batches"] != 1:
        raise InputError("Expected trainer.accumulate_grad_batches to be 1: each batch is a step")
    logged = trainer_options["log_every_n_steps"]
    cadence = Cadence(logged, logged * (described["cls_statistics"]["every"] or 1))
    number = cadence.measured * (1 + cadences)
    config["callbacks"] = {}  # given to the trainer below: it takes no two of a kind
    trainer_options |= {"max_epochs": 1, "max_steps": -1, "limit_val_batches": 0}
    with tempfile.TemporaryDirectory(prefix="clsnorm-observers-") as folder:
        experiment = build(config, RunFolder(Path(folder)))
        trainer, data = experiment.trainer, experiment.data
        observers = {arm: [instantiate(described[name], f"callbacks.{name}") for name in ARMS[arm]] for arm in arms}
        turns = Turns(observers, number)
        batches = list(islice(cycle(data.train_dataloader()), number))
        steps = [batch for batch in batches for _ in arms]
        data.train_dataloader = lambda: DataLoader([*steps, steps[-1]], batch_size=None)
        trainer.callbacks = [turns, *chain.from_iterable(observers.values())]  # type: ignore[attr-defined]
        trainer.fit(experiment.module, datamodule=data)
    return cadence, {arm: taken[cadence.measured :] for arm, taken in turns.seconds.items()}


def paired(ours: np.ndarray, plain: np.ndarray, kinds: np.ndarray) -> tuple[float, float, float]:
    """Returns the share that observers add to the time of a step, and the ends of its interval.

    Args:
        ours: Seconds of each step, ``(n,)``.
        plain: The same without observers.
        kinds: Kind of each step.
    """
    parts = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    random = np.random.default_rng(0)
    drawn = [random.choice(part, (RESAMPLES, len(part))) for part in parts]
    extra, base = (
        [sum(len(part) * np.median(values[index], axis=-1) for part, index in zip(parts, places, strict=True))
         for places in (parts, drawn)]
        for values in (ours - plain, plain)
    )  # fmt: skip
    found, resampled = (above / below for above, below in zip(extra, base, strict=True))
    return float(found), *np.quantile(resampled, [0.025, 0.975]).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cadences", type=int, default=10)
    parser.add_argument("--arms", default=",".join(ARMS), help="what is compared with a run without observers")
    parser.add_argument("overrides", nargs="*", help="as for train.py")
    given = parser.parse_args()
    arms = list(dict.fromkeys(["none", *given.arms.split(",")]))
    if unknown := set(arms) - set(ARMS):
        parser.error(f"--arms are of {', '.join(ARMS)}, but got {', '.join(unknown)}")
    cadence, seconds = measure(given.overrides, arms=arms, cadences=given.cadences)
    kinds = np.tile(cadence.kinds(), given.cadences)
    plain = seconds["none"][:, 0]
    print("| observers | milliseconds a step | paired | 95 % interval | counted |\n|---|---|---|---|---|")
    for arm, taken in seconds.items():
        found, low, high = paired(taken[:, 0], plain, kinds)
        milliseconds, counted = 1e3 * np.median(taken[:, 0]), taken[:, 1].sum() / taken[:, 0].sum()
        print(f"| {arm} | {milliseconds:.1f} | {found:+.2%} | {low:+.2%} to {high:+.2%} | {counted:.2%} |")


if __name__ == "__main__":
    main()
