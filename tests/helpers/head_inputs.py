"""Embeddings with a mean and an outlier direction, and normalizers calibrated on them."""

import torch
from torch import Tensor

from clsnorm.normalizers import CalibratedAffine, Normalizer

DIM, CLASSES = 24, 3


def embeddings(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(9)) / DIM**0.5
    mixing[:, 0] *= 10
    return torch.randn(count, DIM, generator=generator) @ mixing + torch.linspace(-2, 2, DIM)


def calibrated(kind: type[Normalizer]) -> Normalizer:
    normalizer = kind(DIM)
    if isinstance(normalizer, CalibratedAffine):
        accumulator = normalizer.calibration(DIM)
        accumulator.update(embeddings(200))
        normalizer.calibrate(accumulator)
    return normalizer
