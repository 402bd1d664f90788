"""Normalizers that look at one embedding alone: no calibration, no running statistics, no reduction over processes."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clsnorm.normalizers.base import Normalizer, check_positive


class LayerNorm(Normalizer):
    """``z = (h - mean(h)) / sqrt(var(h) + eps) * weight + bias``, mean and variance over the dimensions of one ``h``.

    Ba, Kiros & Hinton (2016), arXiv:1607.06450. BERT's last hidden state is itself the output of a layer norm, so at
    that tap this mainly undoes its scale and bias.

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the variance.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.

    Raises:
        InputError: ``eps`` is not positive.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, dim: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(dim)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-5")
        self.eps = eps
        self.register_parameter("weight", nn.Parameter(torch.ones(dim)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(dim)) if affine else None)

    def normalize(self, h: Tensor) -> Tensor:
        return F.layer_norm(h, (self.dim,), as_type(self.weight, h), as_type(self.bias, h), self.eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, affine={self.weight is not None}"


class RMSNorm(Normalizer):
    """``z = h / sqrt(mean(h^2) + eps) * weight``, the mean over the dimensions of one ``h``.

    Zhang & Sennrich (2019), arXiv:1910.07467, with ``eps`` inside the root as in torch (the authors' code adds it
    to the root).

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the mean square.
        affine: Whether to learn ``weight``; it starts at one.

    Raises:
        InputError: ``eps`` is not positive.
    """

    weight: nn.Parameter | None

    def __init__(self, dim: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__(dim)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-6")
        self.eps = eps
        self.register_parameter("weight", nn.Parameter(torch.ones(dim)) if affine else None)

    def normalize(self, h: Tensor) -> Tensor:
        return F.rms_norm(h, (self.dim,), as_type(self.weight, h), self.eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, affine={self.weight is not None}"


class L2Norm(Normalizer):
    """``z = h / max(||h||, eps) / temperature``: only the direction of ``h`` is left.

    With temperature 1 a linear head sees vectors of length one, ``sqrt(dim)`` times shorter than after `RMSNorm`, and
    learns that much more slowly; ``temperature = 1/sqrt(dim)`` makes the two equal.

    Args:
        dim: Dimensions of an embedding.
        eps: Smallest norm to divide by.
        temperature: Divides the unit vector.

    Raises:
        InputError: ``eps`` or ``temperature`` is not positive.
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, temperature: float = 1.0) -> None:
        super().__init__(dim)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-6")
        check_positive("temperature", temperature, "Give for example normalizer.temperature=0.05")
        self.eps = eps
        self.temperature = temperature

    def normalize(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=1, eps=self.eps) / self.temperature

    def extra_repr(self) -> str:
        return f"eps={self.eps}, temperature={self.temperature}"


def as_type(parameter: Tensor | None, h: Tensor) -> Tensor | None:
    """Returns ``parameter`` in the type of ``h``, in which the normalizer computes."""
    return None if parameter is None else parameter.to(h.dtype)
