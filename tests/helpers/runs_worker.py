"""One of several gloo processes that train a list of runs: ``python runs_worker.py RANK SIZE PORT FOLDER...``.

Each folder holds the ``config.yaml`` of a run. Starting processes takes longer than a tiny run, so all runs share them.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from clsnorm.experiment.job import work

if __name__ == "__main__":
    rank, size, port = sys.argv[1:4]
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": "0"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "runs"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for folder in sys.argv[4:]:
        work(Path(folder))
    dist.destroy_process_group()
