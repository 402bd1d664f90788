"""How far outputs in training are from those in evaluation, for normalizers with batch statistics.

    python benchmarks/train_eval_gap.py

Stationary normal data of 96 dimensions, eigenvalues of the covariance from 1 to 0.01; 100 batches, the mean over the
last ten of `z/train_eval_gap`. Prints a table in Markdown.
"""

from __future__ import annotations

import torch

from clsnorm.normalizers import (
    BatchNorm,
    BatchRenorm,
    CholeskyBatchWhitening,
    DecorrelatedBatchNorm,
    GhostBatchNorm,
    IsoBN,
    IterNorm,
    Normalizer,
    PowerNorm,
    ShuffledGroupWhitening,
    SwitchableWhitening,
)
from clsnorm.normalizers.batch_whitening import BatchWhitening

DIM, BATCHES, LAST = 96, 100, 10
SIZES = (16, 32, 128)
ARMS: dict[str, type[Normalizer]] = {
    "batchnorm": BatchNorm, "ghostbn": GhostBatchNorm, "batchrenorm": BatchRenorm, "powernorm": PowerNorm,
    "isobn": IsoBN, "dbn": DecorrelatedBatchNorm, "cholesky_bw": CholeskyBatchWhitening, "iternorm": IterNorm,
    "group_whiten_shuffled": ShuffledGroupWhitening, "switchable_whiten": SwitchableWhitening,
}  # fmt: skip
CHOSEN = {"dbn": (4, 16, 64), "cholesky_bw": (4, 16, 64), "iternorm": (4, 16, 64)}  # besides half a batch


def mixing() -> torch.Tensor:
    axes = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(7)))[0]
    return torch.logspace(0, -2, DIM).sqrt()[:, None] * axes


@torch.no_grad()
def gap(normalizer: Normalizer, size: int) -> float:
    generator, mix, gaps = torch.Generator().manual_seed(0), mixing(), []
    for _ in range(BATCHES):
        h = torch.randn(size, DIM, generator=generator) @ mix + 1
        z = normalizer.train()(h)
        expected = normalizer.eval()(h)
        gaps.append(float((z - expected).norm() / expected.norm()))
    return sum(gaps[-LAST:]) / LAST


def row(name: str, group_size: int | None) -> str:
    options = {"group_size": group_size} if group_size else {}
    values = []
    for size in SIZES:
        normalizer = ARMS[name](DIM, **options)
        normalizer.take_batch_size(size)
        values.append(f"{gap(normalizer, size):.2f}")
    blocks = (group_size or "half a batch") if isinstance(normalizer, BatchWhitening) else "–"
    return f"| {name} | {blocks} | {' | '.join(values)} |"


def main() -> None:
    print("| normalizer | `group_size` | B = 16 | B = 32 | B = 128 |\n| --- | --- | --- | --- | --- |")
    for name in ARMS:
        for group_size in (None, *CHOSEN.get(name, ())):
            print(row(name, group_size))


if __name__ == "__main__":
    main()
