"""One of three gloo processes of test_ranks.py: ``python ranks_worker.py RANK FOLDER CONF``.

Each first trains a small model alone on the whole global batches, then as one of three and of two processes under DDP,
with the normalizer of every YAML file in CONF; it writes by how much the two differ. With gradients of two batches
accumulated, statistics are still those of each batch, alone as under DDP.
"""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from hydra.utils import instantiate
from last_norm import encoder_norm
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clsnorm import distributed
from clsnorm.errors import InputError
from clsnorm.normalizers import BatchNorm, Normalizer

INPUTS, DIM, CLASSES, ROUNDS = 7, 5, 3, 2
# The parts of five global batches: uneven ones, empty ones, the first process's among them.
PARTS = {
    1: [(8,), (7,), (2,), (3,), (6,)],
    2: [(5, 3), (0, 7), (1, 1), (3, 0), (2, 4)],
    3: [(5, 2, 1), (0, 4, 3), (1, 1, 0), (3, 0, 0), (2, 2, 2)],
}
WAYS: dict[str, dict[str, Any]] = {"plain": {}, "float32": {"dtype": torch.float32}, "accumulated": {"accumulate": 2}}
# For each number of processes, each of the settings of `broadcast_buffers` with a way to train.
SPLITS = {3: [("plain", True), ("accumulated", False)], 2: [("float32", True), ("plain", False)]}
Record = dict[str, Tensor]


class Model(nn.Module):
    def __init__(self, normalizer: Normalizer) -> None:
        super().__init__()
        self.encoder, self.normalizer, self.head = nn.Linear(INPUTS, DIM), normalizer, nn.Linear(DIM, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        z = self.normalizer(h)
        return h, z, self.head(z)


def batches(seed: int, dtype: torch.dtype = torch.float64) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yields this process's part of each global batch, and its number of examples over all processes."""
    generator = torch.Generator().manual_seed(seed)
    for sizes in PARTS[distributed.world_size()] * ROUNDS:
        x = torch.randn(sum(sizes), INPUTS, generator=generator, dtype=torch.float64) + 1
        y = torch.randint(CLASSES, (sum(sizes),), generator=generator)
        rank = distributed.rank()
        yield x.split(sizes)[rank].to(dtype), y.split(sizes)[rank], sum(sizes)


def whole(**parts: Tensor) -> Record:
    """Concatenates the parts of all processes."""
    gathered = distributed.gather_objects({name: part.detach().clone() for name, part in parts.items()})
    return {name: torch.cat([theirs[name] for theirs in gathered]) for name in parts}


def build(path: Path, dtype: torch.dtype) -> Model:
    torch.manual_seed(0)
    config = OmegaConf.load(path)
    if "warmup_steps" in config:  # fewer than the steps taken here
        config.warmup_steps = 3
    if "points" in config and dtype == torch.float32:
        # Between quantiles at a distance w, dz/dh is F'/phi(z) with F' = 1/((points - 1) w), and rounding h moves the
        # quantiles, so the gradient has a relative error of about eps |h| / w. Of 52 rows the nearest are 2e-5 apart:
        # 1,000 points leave an error of 6e-3 there, and one process differs from itself in float64 by 2e-4, as it does
        # from two. Five points are at least 0.2 apart: eps |h| / w is 6e-7, and float32 is within 7e-6 of float64.
        config.points = 5
    model = Model(instantiate(config)(DIM)).to(dtype)
    model.normalizer.take_encoder_norm(encoder_norm(DIM))
    if model.normalizer.calibration is not None:
        accumulator = model.normalizer.calibration(DIM)
        for x, _, _ in batches(1, dtype):
            accumulator.update(model.encoder(x))
        accumulator.all_reduce()
        model.normalizer.calibrate(accumulator)
    return model


def train(path: Path, *, dtype: torch.dtype = torch.float64, accumulate: int = 1, **ddp: bool) -> list[Record]:
    """Trains as a run does, and returns the quantities that must not depend on the split of batches."""
    model = build(path, dtype)
    wrapped = DistributedDataParallel(model, **ddp) if distributed.is_active() else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    processes, records = distributed.world_size(), []
    for number, (x, y, global_size) in enumerate(batches(2, dtype), 1):
        steps = number % accumulate == 0
        with nullcontext() if steps or wrapped is model else wrapped.no_sync():
            h, z, logits = wrapped(x)
            h.retain_grad()
            (F.cross_entropy(logits, y, reduction="sum") * processes / global_size).backward()
        record = whole(h=h, z=z, logits=logits, gradient=h.grad / processes)
        if steps:
            record |= {f"gradient of {name}": p.grad.clone() for name, p in model.named_parameters()}
            optimizer.step()
            optimizer.zero_grad()
        record |= {f"buffer {name}": buffer.clone() for name, buffer in model.named_buffers()}
        records.append(record)
    model.eval()
    x, _, _ = next(batches(3, dtype))
    return [*records, whole(**{"evaluated z": model(x)[1]})]


def deviation(records: list[Record], expected: list[Record]) -> dict[str, float]:
    """Returns per quantity the largest deviation over all steps, relative to its size where that is above one."""
    assert len(records) == len(expected)
    worst: dict[str, float] = {}
    for record, reference in zip(records, expected, strict=True):
        assert record.keys() == reference.keys()
        for name, value in reference.items():
            assert record[name].shape == value.shape, name
            size = max(1.0, float(value.double().abs().max()))
            error = float((record[name].double() - value.double()).abs().max()) / size
            worst[name] = max(worst.get(name, 0.0), error)
    return worst


def unsynchronized() -> dict[str, bool]:
    """Returns whether BatchNorm(sync=False) normalizes by each part and stores statistics of the whole batch."""
    own, torchs = BatchNorm(INPUTS, sync=False).double(), nn.BatchNorm1d(INPUTS).double()
    pooled, outputs_agree, buffers_agree = nn.BatchNorm1d(INPUTS).double(), True, True
    for x, _, _ in batches(seed=3):
        before = (own.running_mean.clone(), own.running_var.clone())
        z = own(x)
        expected = torchs(x) if len(x) > 1 else (x - before[0]) / (before[1] + own.eps).sqrt()
        outputs_agree &= torch.allclose(z, expected, rtol=0, atol=1e-10)
        pooled(whole(x=x)["x"])
        buffers_agree &= torch.allclose(own.running_mean, pooled.running_mean, rtol=0, atol=1e-12)
        buffers_agree &= torch.allclose(own.running_var, pooled.running_var, rtol=0, atol=1e-12)
    return {"outputs": outputs_agree, "buffers": buffers_agree}


def single_example() -> list[str]:
    """Returns each process's error for a global batch of one example, and checks that a good batch still works."""
    normalizer = BatchNorm(INPUTS)
    try:
        normalizer(torch.zeros(1 if distributed.rank() == 0 else 0, INPUTS))
        message = "nothing"
    except InputError as error:
        message = str(error)
    normalizer(torch.zeros(2, INPUTS))
    return distributed.gather_objects(message)


def main() -> None:
    torch.set_num_threads(1)
    rank, folder, conf = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    paths = sorted(conf.glob("*.yaml"))
    expected = (
        {(path.stem, way): train(path, **how) for path in paths for way, how in WAYS.items()} if not rank else None
    )
    results: dict = {}
    for size in SPLITS:
        if rank >= size:
            return
        dist.init_process_group(
            "gloo", f"file://{folder}/group{size}", timedelta(seconds=60), world_size=size, rank=rank
        )
        expected = distributed.broadcast_object(expected)
        for path in paths:
            for way, broadcast in SPLITS[size]:
                records = train(path, **WAYS[way], broadcast_buffers=broadcast)
                mine = deviation(records, expected[path.stem, way])
                everyone = distributed.gather_objects(mine)
                worst = {name: max(theirs[name] for theirs in everyone) for name in mine}
                results[size, path.stem, way] = worst
        results[size, "unsynchronized"] = distributed.gather_objects(unsynchronized())
        results[size, "single example"] = single_example()
        dist.barrier()
        dist.destroy_process_group()
    if rank == 0:
        torch.save(results, folder / "results.pt")


if __name__ == "__main__":
    main()
