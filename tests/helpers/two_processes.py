"""The work of each process in test_finetuner.py, and of the test's process, which has all examples.

``python two_processes.py MODEL_FOLDER OUTPUT_FOLDER``, with torchrun's environment variables.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from plain_losses import CROSS_ENTROPY
from torch.utils.data import DataLoader
from torchmetrics import PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

from clsnorm.batches import Batch
from clsnorm.distributed import rank, world_size
from clsnorm.model import Classifier, Encoder, FineTuner
from clsnorm.model.scores import Scores
from clsnorm.normalizers import LayerNorm
from clsnorm.optim.schedules import Linear

GLOBAL_SIZES = (6, 5, 1, 4)  # with two processes: even, uneven, and one process without any


def part_of(lengths: list[int], first_id: int, *, index: int, count: int) -> Batch:
    """Packs this process's share of a global batch; labels and tokens depend only on the example."""
    chosen = np.array_split(np.arange(len(lengths)), count)[index]
    own = [lengths[i] for i in chosen]
    ids = torch.tensor([first_id + int(i) for i in chosen], dtype=torch.long)
    tokens = [torch.randint(4, 60, (n,), generator=torch.Generator().manual_seed(int(i))) for i, n in zip(ids, own)]  # noqa: B905
    row = torch.cat(tokens)[None] if own else torch.zeros(1, 0, dtype=torch.long)
    places = torch.cat([torch.arange(n) for n in own])[None] if own else torch.zeros(1, 0, dtype=torch.long)
    sizes = torch.tensor(own, dtype=torch.long)
    return Batch(row, places, torch.zeros_like(row), sizes, ids % 2, ids, len(lengths), packed=True)


def batches(start: int, *, index: int, count: int) -> DataLoader:
    rng = np.random.default_rng(start)
    parts = []
    for size in GLOBAL_SIZES:
        parts.append(part_of(rng.integers(2, 20, size).tolist(), start, index=index, count=count))
        start += size
    return DataLoader(parts, batch_size=None)


def finetuner(model: str, *, dropout: float = 0.0, **options: object) -> FineTuner:
    encoder = Encoder(model, tap="pooler", dropout=dropout)
    classifier = Classifier(encoder, LayerNorm(24), num_outputs=2, seed_init=0, dropout=dropout, init_std=0.5)
    metrics = {"accuracy": MulticlassAccuracy(2, average="micro"), "auroc": MulticlassAUROC(2)}
    defaults = {
        "loss": CROSS_ENTROPY,
        "metrics": metrics,
        "report_names": ["report", "report_mismatched"],
        "optimizer": functools.partial(torch.optim.SGD, lr=0.05),
        "scheduler": functools.partial(Linear, warmup_ratio=0.0),
        "seed_dropout": 0,
    }
    return FineTuner(classifier, **(defaults | options))


def trainer(count: int = 1, **options: object) -> pl.Trainer:
    defaults = {
        "accelerator": "cpu",
        "devices": count,
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    }
    return pl.Trainer(**(defaults | ({"strategy": "ddp"} if count > 1 else {}) | options))


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        value = trainer.callback_metrics.get("train/loss")  # logged by the first process only
        self.seen.append(float("nan") if value is None else float(value))


def regression_scores(index: int, count: int) -> dict[str, float]:
    """All rows on the first process; the others have none."""
    scores = Scores({"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()})
    if index == 0:
        values = torch.randn(50, generator=torch.Generator().manual_seed(0))
        ids = torch.randperm(50, generator=torch.Generator().manual_seed(1))
        scores.update(ids, values, values + torch.arange(50) / 20, values.abs())
    return scores.compute()


def run(model: str, index: int, count: int) -> dict[str, object]:
    tuner, losses = finetuner(model), Losses()
    fitter = trainer(count, callbacks=[losses])
    loaders = functools.partial(batches, index=index, count=count)
    fitter.fit(tuner, loaders(0), loaders(100))
    select = {k: float(v) for k, v in fitter.callback_metrics.items() if k.startswith("select/")}
    reports = fitter.test(tuner, [loaders(200), loaders(300)], verbose=False)
    return {
        "rank": rank(),
        "world_size": world_size(),
        "weights": {name: p.detach().clone() for name, p in tuner.classifier.named_parameters()},
        "losses": losses.seen,
        "select": select,
        "reports": {k: v for report in reports for k, v in report.items()},
        "regression": regression_scores(index, count),
    }


if __name__ == "__main__":
    import os

    torch.set_num_threads(1)
    own_rank, all_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.save(run(sys.argv[1], own_rank, all_ranks), Path(sys.argv[2]) / f"{own_rank}.pt")
