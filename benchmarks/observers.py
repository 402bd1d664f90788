"""What the observers of a run cost a training step.

    python benchmarks/observers.py --cadences 10
    python benchmarks/observers.py --cadences 16 --arms "both,none again"  # narrower, in about the same time
    python benchmarks/observers.py --cadences 10 model=bert_base trainer.accelerator=gpu

One run takes a step on each batch several times in turn: without observers, with each of them, with both, and without
any again, in an order that is drawn for each batch. So the steps that are compared lie a second apart, in one process
and memory: what slows the machine down for longer slows both, and what makes one process slower than its twin (2 % was
seen) is in neither. A step's time goes from its start to that of the next, with the loop, logging and the writing of
what was logged; a GPU has then done its work. Batches are made before the run: without loading, and without
validations, the share of the observers is larger.

What observers do depends on a step's place in the cadence: nothing but looking on in most steps, more in those that are
logged, and most in those in which the statistics of training batches are due. So for each of these three kinds
``paired`` takes the median over its steps of the difference to the same step without observers, and adds the three by
their numbers in a cadence; it is a share of the same sum of the medians without observers. The interval holds 95 % of
what 2,000 resamples of the steps of each kind give. `none again` shows the noise: its interval should hold 0.
``counted`` is what the observers say of themselves (``step_share`` in the results).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import OrderedDict
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
    """Steps between two logged ones, and those between two measurements of training batches."""

    logged: int
    measured: int

    def kinds(self) -> np.ndarray:
        """Returns of each step of a cadence how many things are due in it: 0, 1 or 2."""
        steps = np.arange(1, self.measured + 1)
        return (steps % self.logged == 0).astype(int) + (steps % self.measured == 0)


class Turns(pl.Callback):
    """Gives each step the observers of its arm, and times it.

    Args:
        observers: By arm; each arm has its own.
        batches: Number of batches; a run has a step of each arm on each, and one more, whose start ends the last.

    Attributes:
        seconds: ``(batches, 2)`` by arm: time of a step, and the observers' own part of it.
    """

    def __init__(self, observers: Mapping[str, Sequence[Observer]], batches: int) -> None:
        self.seconds = {arm: np.full((batches, 2), np.nan) for arm in observers}
        self._observers, self._batches = observers, batches
        random = np.random.default_rng(0)
        self._orders = [random.permutation(list(observers)).tolist() for _ in range(batches + 1)]
        self._turn = 0  # number of the step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        self._normalizer = classifier.normalizer
        self._hooks = dict(self._normalizer._forward_hooks)  # by which observers see an embedding
        self._watch(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, number: int) -> None:
        for logger in trainer.loggers:
            logger.save()  # else what one step has logged would be written in another
        if self._turn:
            batch_number, arm = self._place(self._turn - 1)
            self.seconds[arm][batch_number] = self._read(arm) - self._started
        # The same place in the cadence for all arms, and for each arm rows of its own in the metrics.
        batch_number, arm = self._place(self._turn)
        own = list(self.seconds).index(arm) * self._batches
        trainer.fit_loop.epoch_loop._batches_that_stepped = own + batch_number
        self._started = self._read(arm)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        self._turn += 1
        self._watch(trainer)  # from the next step on: the loop over callbacks goes on over the list it has

    def _watch(self, trainer: pl.Trainer) -> None:
        observers = self._observers[self._place(self._turn)[1]]
        trainer.callbacks = [self, *observers]  # type: ignore[attr-defined]  # set by a connector
        hooks = {number: hook for number, hook in self._hooks.items() if hook.__self__ in observers}
        self._normalizer._forward_hooks = OrderedDict(hooks)

    def _place(self, turn: int) -> tuple[int, str]:
        """Returns the number of a step's batch, and its arm."""
        batch, place = divmod(turn, len(self.seconds))
        return batch, self._orders[batch][place]

    def _read(self, arm: str) -> np.ndarray:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return np.array([time.perf_counter(), sum(observer.seconds["steps"] for observer in self._observers[arm])])


def measure(overrides: list[str], *, arms: Sequence[str], cadences: int) -> tuple[Cadence, dict[str, np.ndarray]]:
    """Trains; returns by arm the seconds of each step and those counted, ``(steps, 2)``, without those to warm up.

    Raises:
        InputError: If gradients are accumulated: the batches of one step must not go to several arms.
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
    """Returns the share that observers add to the time of steps, and the ends of its interval.

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
