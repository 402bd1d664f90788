"""Normalizers of [CLS] embeddings: modules from ``(batch, dim)`` to ``(batch, dim)``.

Example:
    >>> import torch
    >>> from clsnorm.normalizers import Standardize
    >>> from clsnorm.statistics import Moments
    >>> h = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    >>> moments = Moments(dim=2)
    >>> moments.update(h)
    >>> normalizer = Standardize(dim=2)
    >>> normalizer.calibrate(moments)
    >>> normalizer(h)
    tensor([[-1., -1.],
            [ 1.,  1.]])
"""

from clsnorm.normalizers.affine import CalibratedAffine, Center, Identity, Standardize, ZCAWhitening
from clsnorm.normalizers.base import Normalizer
from clsnorm.normalizers.batch import BatchNorm
from clsnorm.normalizers.isobn import IsoBN, IsoBNCompat
from clsnorm.normalizers.per_sample import L2Norm, LayerNorm, RMSNorm

__all__ = [
    "BatchNorm",
    "CalibratedAffine",
    "Center",
    "Identity",
    "IsoBN",
    "IsoBNCompat",
    "L2Norm",
    "LayerNorm",
    "Normalizer",
    "RMSNorm",
    "Standardize",
    "ZCAWhitening",
]
