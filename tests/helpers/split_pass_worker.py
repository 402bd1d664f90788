"""One of several gloo processes of test_split_pass.py: ``python split_pass_worker.py RANK SIZE FOLDER``."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from clsnorm.callbacks.split_pass import SplitPass, fixed_rows
from clsnorm.statistics import describe


def numbers(rows: dict[str, torch.Tensor], *, rank: int, size: int, batch: int, most: int | None) -> dict[str, float]:
    """All statistics of a pass over ``rows`` in global batches, each split over the processes."""
    ids = rows["example_ids"].numpy()
    seen = SplitPass(rows["h"].shape[1], num_classes=3, ids=ids[fixed_rows(ids, most)], points=["h"])
    for start in range(0, len(rows["h"]), batch):
        whole = {name: values[start : start + batch] for name, values in rows.items()}
        part = {name: values.tensor_split(size)[rank] for name, values in whole.items()}
        taps = {"layer01": part["h"]} if len(part["h"]) else {}  # a process without rows has no such place
        seen.update(part, taps)
    seen.all_reduce()
    return {
        f"{place}/{name}": found.value
        for place, snapshot in seen.collection.snapshots.items()
        for name, found in describe(snapshot).items()
    }


def main() -> None:
    torch.set_num_threads(1)
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    cases = torch.load(folder / "cases.pt")
    dist.init_process_group("gloo", f"file://{folder}/group", timedelta(seconds=60), world_size=size, rank=rank)
    torch.save([numbers(**case, rank=rank, size=size) for case in cases], folder / f"result{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
