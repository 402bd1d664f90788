"""What the observers of a run cost a training step.

    python benchmarks/observers.py --rounds 5
    python benchmarks/observers.py --rounds 5 --clock cpu    # on a machine that others use, too
    python benchmarks/observers.py --rounds 5 model=bert_base trainer.accelerator=gpu

One run in one process: its steps are cut into blocks of one whole cadence (up to the rarest logged number), and each
round has a block without observers, one with each, and one with both, in an order that moves on by one each round.
A block's time includes loading and logging. `paired` is the median over rounds of the block's time over that of the
round's block without observers, with the smallest and the largest; `counted` is what the observers say of themselves
(`step_share` in the results). Validations and the passes before and after training are not in it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from clsnorm import naming
from clsnorm.building import build
from clsnorm.callbacks import Observer
from clsnorm.experiment import resolve
from clsnorm.records import RunFolder

CONF = Path(__file__).parents[1] / "conf"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NAMES = ("cls_statistics", "gradient_norms")


class Alternation(pl.Callback):
    """Lets observers see the steps of their blocks alone, and times the blocks.

    Args:
        arms: Observers by the name of their arm.
        period: Optimizer steps of a block. The first block is for warming up.
        clock: Gives seconds: wall time, or the time that this process computes.

    Attributes:
        blocks: Time of each round's block, and the observers' own share of its wall time, by arm.
    """

    def __init__(self, arms: dict[str, list[Observer]], *, period: int, clock: Callable[[], float]) -> None:
        self.blocks: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
        self._arms, self._period, self._clock = arms, period, clock
        self._started = self._started_wall = self._counted = 0.0

    def _name(self, step: int) -> str | None:
        number = step // self._period - 1
        names = list(self._arms)
        return None if number < 0 else names[(number + number // len(names)) % len(names)]

    def _active(self, step: int) -> Sequence[Observer]:
        name = self._name(step)
        return () if name is None else self._arms[name]

    def on_train_batch_start(self, trainer: pl.Trainer, *arguments: Any) -> None:
        self._step = trainer.global_step
        active = self._active(self._step)
        if self._step % self._period == 0:
            for observer in active:
                observer.on_fit_start(trainer, arguments[0])
                observer.on_train_start(trainer, arguments[0])
            self._counted = sum(observer.seconds["steps"] for observer in active)
            self._started, self._started_wall = self._clock(), time.perf_counter()
        for observer in active:
            observer.on_train_batch_start(trainer, *arguments)

    def on_before_optimizer_step(self, trainer: pl.Trainer, *arguments: Any) -> None:
        for observer in self._active(self._step):
            observer.on_before_optimizer_step(trainer, *arguments)

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        active = self._active(self._step)
        for observer in active:
            observer.on_train_batch_end(trainer, *arguments)
        if (self._step + 1) % self._period == 0:
            seconds, wall = self._clock() - self._started, time.perf_counter() - self._started_wall
            counted = sum(observer.seconds["steps"] for observer in active) - self._counted
            for observer in active:
                observer.teardown(trainer, arguments[0], "fit")
            if name := self._name(self._step):
                self.blocks[name].append((seconds, counted / wall))


def configuration(overrides: list[str]) -> dict[str, Any]:
    """Composes a configuration with both observers, as ``train.py`` does."""
    naming.register()
    words = [f"callbacks=[{','.join(NAMES)}]", *overrides]
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        config = compose("train", words, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    job = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    return resolve(job, dict(config.hydra.runtime.choices))


def measure(overrides: list[str], *, rounds: int, clock: Callable[[], float]) -> Alternation:
    """Trains and returns the timed blocks."""
    config = configuration(overrides)
    every = config["callbacks"]["cls_statistics"]["every"] or 1
    period = every * config["trainer"]["log_every_n_steps"]
    steps = period * (1 + rounds * (len(NAMES) + 2))
    config["trainer"] |= {"max_epochs": -1, "max_steps": steps, "limit_val_batches": 0}
    with tempfile.TemporaryDirectory(prefix="clsnorm-observers-") as folder:
        experiment = build(config, RunFolder(Path(folder)))
        one = {name: [experiment.observers[name]] for name in NAMES}
        arms: dict[str, list[Observer]] = {"none": [], **one, "both": [*experiment.observers.values()]}
        alternation = Alternation(arms, period=period, clock=clock)
        experiment.trainer.callbacks = [alternation]  # type: ignore[attr-defined]
        experiment.trainer.fit(experiment.module, datamodule=experiment.data)
    return alternation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("overrides", nargs="*", help="as for train.py")
    given = parser.parse_args()
    alternation = measure(given.overrides, rounds=given.rounds, clock=CLOCKS[given.clock])
    plain = [seconds for seconds, _ in alternation.blocks["none"]]
    print("| observers | seconds a block | paired | counted |\n|---|---|---|---|")
    for name, blocks in alternation.blocks.items():
        shares = sorted(seconds / base - 1 for (seconds, _), base in zip(blocks, plain, strict=True))
        counted = statistics.median(share for _, share in blocks)
        middle = statistics.median(seconds for seconds, _ in blocks)
        paired = f"{statistics.median(shares):.1%} ({shares[0]:.1%} to {shares[-1]:.1%})"
        print(f"| {name} | {middle:.2f} | {paired} | {counted:.2%} |")


if __name__ == "__main__":
    main()
