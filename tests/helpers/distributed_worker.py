"""One of several gloo processes of test_distributed.py: ``python distributed_worker.py RANK SIZE FOLDER``."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from clsnorm import distributed
from clsnorm.statistics import Moments


def collectives(rank: int, size: int) -> dict:
    x = torch.arange(3.0, dtype=torch.float64) + rank
    x.requires_grad_()
    total = distributed.differentiable_all_reduce_sum(x**2)
    (total * (rank + 1)).sum().backward()  # processes weigh the sum differently: their gradients must add up
    untouched = torch.ones(2)
    return {
        "active": distributed.is_active(),
        "rank": distributed.rank(),
        "size": distributed.world_size(),
        "sum": distributed.all_reduce_sum(untouched * (rank + 1)),
        "untouched": (distributed.all_reduce_sum(untouched), untouched)[1],
        "total": total.detach(),
        "gradient": x.grad,
        "broadcast": distributed.broadcast_object({"from": rank}),
        "gathered": distributed.gather_objects(f"rank {rank}"),
    }


def moments(rank: int, parts: list[torch.Tensor]) -> dict:
    mine = Moments(parts[0].shape[1])
    for batch in parts[rank].split(5):
        mine.update(batch)
    mine.all_reduce()
    return mine.state_dict()


def main() -> None:
    torch.set_num_threads(1)
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    cases = torch.load(folder / "cases.pt")
    dist.init_process_group("gloo", f"file://{folder}/group", timedelta(seconds=60), world_size=size, rank=rank)
    result = {"collectives": collectives(rank, size), "moments": [moments(rank, parts) for parts in cases]}
    distributed.barrier()
    torch.save(result, folder / f"result{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
