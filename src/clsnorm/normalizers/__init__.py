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

from clsnorm.normalizers.batch import BatchNorm, GhostBatchNorm
from clsnorm.normalizers.batch_renorm import BatchRenorm
from clsnorm.normalizers.batch_whitening import (
    BatchWhitening,
    CholeskyBatchWhitening,
    DecorrelatedBatchNorm,
    ShuffledGroupWhitening,
)
from clsnorm.normalizers.bias import BiasDose
from clsnorm.normalizers.calibrated import Calibrated, CalibratedAffine, CovarianceMap
from clsnorm.normalizers.controls import Identity, Rotation, Scale, SpectrumMatched
from clsnorm.normalizers.encoder_norm import LayerNormRefit, LayerNormStrip
from clsnorm.normalizers.isobn import IsoBN, IsoBNCompat
from clsnorm.normalizers.iterative_whitening import IterNorm, SwitchableWhitening
from clsnorm.normalizers.normalizer import Normalizer
from clsnorm.normalizers.per_sample import DynamicTanh, GroupNorm, L2Norm, LayerNorm, RMSNorm, ScaleNorm
from clsnorm.normalizers.power import PowerNorm
from clsnorm.normalizers.quantile import Clip, QuantileToNormal
from clsnorm.normalizers.scaling import Center, OutlierZero, Robust, Standardize
from clsnorm.normalizers.whitening import (
    AllButTheTop,
    CholeskyWhitening,
    LedoitWolfWhitening,
    OASWhitening,
    PCACorrelation,
    PCAWhitening,
    SoftZCA,
    TruncatedWhitening,
    Whitening,
    ZCACorrelation,
    ZCAWhitening,
)

__all__ = [
    "AllButTheTop",
    "BatchNorm",
    "BatchRenorm",
    "BatchWhitening",
    "BiasDose",
    "Calibrated",
    "CalibratedAffine",
    "Center",
    "CholeskyBatchWhitening",
    "CholeskyWhitening",
    "Clip",
    "CovarianceMap",
    "DecorrelatedBatchNorm",
    "DynamicTanh",
    "GhostBatchNorm",
    "GroupNorm",
    "Identity",
    "IsoBN",
    "IsoBNCompat",
    "IterNorm",
    "L2Norm",
    "LayerNorm",
    "LayerNormRefit",
    "LayerNormStrip",
    "LedoitWolfWhitening",
    "Normalizer",
    "OASWhitening",
    "OutlierZero",
    "PCACorrelation",
    "PCAWhitening",
    "PowerNorm",
    "QuantileToNormal",
    "RMSNorm",
    "Robust",
    "Rotation",
    "Scale",
    "ScaleNorm",
    "ShuffledGroupWhitening",
    "SoftZCA",
    "SpectrumMatched",
    "Standardize",
    "SwitchableWhitening",
    "TruncatedWhitening",
    "Whitening",
    "ZCACorrelation",
    "ZCAWhitening",
]
