"""What the observers of a run cost a training step.

    python benchmarks/observers.py --rounds 10
    python benchmarks/observers.py --rounds 10 --clock cpu    # on a machine that others use, too
    python benchmarks/observers.py --rounds 10 model=bert_base trainer.accelerator=gpu

One run in one process, each of whose epochs is a block. A round has a block without observers, one with each, one with
both, and one without any again, all over the same batches; each round has batches of its own, and the order of its
blocks moves on by one, so that in a multiple of five rounds each has each place equally often. A block's first steps,
to the first logged one, are for warming up. Then one whole cadence is timed, up to the rarest logged number, with
logging.

Batches are made before a round: loading is not in the time, which makes the observers' share larger. Nor are
validations and what comes before and after the steps.

`paired` is the median over rounds of the block's time over that of the round's first block without observers, with the
smallest and the largest. `none again` shows the noise: its median should be 0. `counted` is what the observers say of
themselves (`step_share` in the results).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from composed import resolved
from torch.utils.data import DataLoader

from clsnorm.building import build
from clsnorm.callbacks import Observer
from clsnorm.records import RunFolder

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NAMES = ("cls_statistics", "gradient_norms")
ARMS = {"none": (), **{name: (name,) for name in NAMES}, "both": NAMES, "none again": ()}
WARM_UP = 1  # blocks before the first round


class Block(NamedTuple):
    """Time of a block's timed steps, and the observers' own share of their wall time."""

    seconds: float
    counted: float


class Alternation(pl.Callback):
    """Gives each epoch the observers of its arm, and times its steps.

    Args:
        observers: By name.
        first: Number of an epoch's first step that is timed.
        clock: Gives seconds: wall time, or the time that this process computes.

    Attributes:
        blocks: Each round's, by arm.
    """

    def __init__(self, observers: dict[str, Observer], *, first: int, clock: Callable[[], float]) -> None:
        self.blocks: dict[str, list[Block]] = {arm: [] for arm in ARMS}
        self._observers, self._first, self._clock = observers, first, clock
        self._active: list[Observer] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._arm = arm_of(trainer.current_epoch)
        self._active = [self._observers[name] for name in ARMS[self._arm]]
        for observer in self._active:
            observer.on_fit_start(trainer, pl_module)
            observer.on_train_start(trainer, pl_module)
        trainer.callbacks = [self, *self._active]  # type: ignore[attr-defined]  # it times all calls of the others

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, number: int) -> None:
        if number == self._first:
            self._started = self._read()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        seconds, wall, counted = (now - then for now, then in zip(self._read(), self._started, strict=True))
        if trainer.current_epoch >= WARM_UP:
            self.blocks[self._arm].append(Block(seconds, counted / wall))
        trainer.callbacks = [self]  # type: ignore[attr-defined]
        for observer in self._active:
            observer.on_train_end(trainer, pl_module)
            observer.teardown(trainer, pl_module, "fit")

    def _read(self) -> tuple[float, float, float]:
        return self._clock(), time.perf_counter(), sum(observer.seconds["steps"] for observer in self._active)


def round_of(epoch: int) -> int:
    """Returns the number of an epoch's round; what is for warming up is before the first one."""
    return (epoch - WARM_UP) // len(ARMS)


def arm_of(epoch: int) -> str:
    """Returns the name of an epoch's arm."""
    return list(ARMS)[(epoch - WARM_UP + round_of(epoch)) % len(ARMS)]


def measure(overrides: list[str], *, rounds: int, clock: Callable[[], float]) -> dict[str, list[Block]]:
    """Trains and returns each round's blocks by arm."""
    config = resolved([f"callbacks=[{','.join(NAMES)}]", *overrides])
    logged = config["trainer"]["log_every_n_steps"]
    steps = logged + logged * (config["callbacks"]["cls_statistics"]["every"] or 1)
    epochs = WARM_UP + rounds * len(ARMS)
    config["trainer"] |= {"max_epochs": epochs, "max_steps": -1, "limit_val_batches": 0}
    config["trainer"]["reload_dataloaders_every_n_epochs"] = 1
    with tempfile.TemporaryDirectory(prefix="clsnorm-observers-") as folder:
        experiment = build(config, RunFolder(Path(folder)))
        trainer, data = experiment.trainer, experiment.data
        passing = islice(cycle(data.train_dataloader()), steps * (1 + rounds))
        batches = [list(islice(passing, steps)) for _ in range(1 + rounds)]
        data.train_dataloader = lambda: DataLoader(batches[round_of(trainer.current_epoch)], batch_size=None)
        alternation = Alternation(experiment.observers, first=logged, clock=clock)
        trainer.callbacks = [alternation]  # type: ignore[attr-defined]
        trainer.fit(experiment.module, datamodule=data)
    return alternation.blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("overrides", nargs="*", help="as for train.py")
    given = parser.parse_args()
    blocks = measure(given.overrides, rounds=given.rounds, clock=CLOCKS[given.clock])
    print("| observers | seconds a cadence | paired | counted |\n|---|---|---|---|")
    for arm, timed in blocks.items():
        shares = sorted(ours.seconds / plain.seconds - 1 for ours, plain in zip(timed, blocks["none"], strict=True))
        seconds, counted = (statistics.median(values) for values in zip(*timed, strict=True))
        paired = f"{statistics.median(shares):.2%} ({shares[0]:.2%} to {shares[-1]:.2%})"
        print(f"| {arm} | {seconds:.2f} | {paired} | {counted:.2%} |")


if __name__ == "__main__":
    main()
