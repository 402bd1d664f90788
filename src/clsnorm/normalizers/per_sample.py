"""Normalizers of each embedding on its own: no calibration, no running statistics, no reduction over processes."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clsnorm.errors import is_whole, refuse, require_positive
from clsnorm.normalizers.normalizer import Normalizer


class LayerNorm(Normalizer):
    """``z = (h - mean(h)) / sqrt(var(h) + eps) * weight + bias``, mean and variance over the dimensions of one ``h``.

    Ba, Kiros & Hinton (2016), arXiv:1607.06450. BERT's last hidden state is itself the output of a layer norm, so at
    that tap this normalizer mainly undoes its scale and bias.

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the variance.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.

    Raises:
        InputError: ``eps`` is not positive.
    """

    bends = "divides each embedding by its own standard deviation"

    def __init__(self, dim: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(dim)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        self.eps = eps
        self.learn(weight=affine, bias=affine)

    def normalize(self, h: Tensor) -> Tensor:
        return F.layer_norm(h, (self.dim,), as_type(self.weight, h), as_type(self.bias, h), self.eps)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``max|weight| / sqrt(var(h) + eps)``; attained if all weights are equal and ``dim > 2``."""
        return self.largest_weight(h) * (_variance(h) + self.eps).rsqrt()

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

    bends = "divides each embedding by its own root mean square"

    def __init__(self, dim: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__(dim)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-6")
        self.eps = eps
        self.learn(weight=affine, bias=False)

    def normalize(self, h: Tensor) -> Tensor:
        return F.rms_norm(h, (self.dim,), as_type(self.weight, h), self.eps)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``max|weight| / sqrt(mean(h^2) + eps)``; attained if all weights are equal and ``dim > 1``."""
        return self.largest_weight(h) * (h.square().mean(1) + self.eps).rsqrt()

    def extra_repr(self) -> str:
        return f"eps={self.eps}, affine={self.weight is not None}"


class L2Norm(Normalizer):
    """``z = h / max(||h||, eps) / temperature``: keeps only the direction of ``h``.

    With temperature 1 a linear head sees vectors of length 1, ``sqrt(dim)`` times shorter than after `RMSNorm`, and
    learns that much more slowly; with ``temperature = 1/sqrt(dim)`` the two are equal.

    Args:
        dim: Dimensions of an embedding.
        eps: Smallest norm to divide by.
        temperature: Divides the unit vector.

    Raises:
        InputError: ``eps`` or ``temperature`` is not positive.
    """

    bends = "divides each embedding by its own length"

    def __init__(self, dim: int, *, eps: float = 1e-6, temperature: float = 1.0) -> None:
        super().__init__(dim)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-6")
        require_positive("temperature", temperature, advice="Give for example normalizer.temperature=0.05")
        self.eps = eps
        self.temperature = temperature

    def normalize(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=1, eps=self.eps) / self.temperature

    def largest_gain(self, h: Tensor) -> Tensor:
        """``1 / (temperature max(||h||, eps))``; attained if ``dim > 1``."""
        return 1 / (self.temperature * h.norm(dim=1).clamp(min=self.eps))

    def extra_repr(self) -> str:
        return f"eps={self.eps}, temperature={self.temperature}"


class ScaleNorm(Normalizer):
    """``z = g h / max(||h||, eps)`` with one learned length ``g`` for all embeddings, ``sqrt(dim)`` at first.

    Nguyen & Salazar 2019 (arXiv:1910.05895). `RMSNorm` with one weight instead of one per dimension.

    Args:
        dim: Dimensions of an embedding.
        eps: Smallest norm to divide by.

    Raises:
        InputError: ``eps`` is not positive.
    """

    bends = "divides each embedding by its own length"

    def __init__(self, dim: int, *, eps: float = 1e-5) -> None:
        super().__init__(dim)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        self.eps = eps
        self.length = nn.Parameter(torch.tensor(dim**0.5))

    def normalize(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=1, eps=self.eps) * self.length.to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``|g| / max(||h||, eps)``; attained if ``dim > 1``."""
        return self.length.to(h.dtype).abs() / h.norm(dim=1).clamp(min=self.eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


class GroupNorm(Normalizer):
    """`LayerNorm` within each of ``groups`` blocks of neighbouring dimensions, then a learned scale and bias.

    ``z = (h - mean(block)) / sqrt(var(block) + eps) * weight + bias``. Wu & He 2018 (arXiv:1803.08494). Blocks are
    meaningful among the channels of an image; the order of a [CLS] embedding's dimensions is arbitrary, apart from a
    trace of the attention heads.

    Args:
        dim: Dimensions of an embedding.
        groups: Number of blocks; None: the largest number up to 16 that cuts ``dim`` into equal blocks.
        eps: Added to the variance.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.

    Raises:
        InputError: ``groups`` does not cut ``dim`` into equal blocks of two dimensions or more, or ``eps`` is not
            positive.
    """

    bends = "divides each block of an embedding by its own standard deviation"

    def __init__(self, dim: int, *, groups: int | None = None, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(dim)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        # A block of one dimension equals its mean, and would become zero.
        possible = [number for number in range(1, dim // 2 + 1) if dim % number == 0] or [1]
        if groups is not None and (not is_whole(groups) or groups not in possible):
            rule = f"null or a number that cuts {dim} dimensions into equal blocks of two or more"
            refuse("groups", rule, groups, f"Give one of {possible}")
        self.groups = max(number for number in possible if number <= 16) if groups is None else groups
        self.eps = eps
        self.learn(weight=affine, bias=affine)

    def normalize(self, h: Tensor) -> Tensor:
        return F.group_norm(h, self.groups, as_type(self.weight, h), as_type(self.bias, h), self.eps)

    def largest_gain(self, h: Tensor) -> Tensor:
        """The largest ``max|weight| / sqrt(var + eps)`` of a block; attained as in `LayerNorm`."""
        blocks = h.unflatten(1, (self.groups, -1))
        weight = torch.ones_like(h[:1]) if self.weight is None else self.weight.to(h.dtype)[None]
        largest = weight.unflatten(1, (self.groups, -1)).abs().amax(2)
        return (largest * (_variance(blocks) + self.eps).rsqrt()).amax(1)

    def extra_repr(self) -> str:
        return f"groups={self.groups}, eps={self.eps}, affine={self.weight is not None}"


class DynamicTanh(Normalizer):
    """``z = weight * tanh(alpha h) + bias``: squashes large values instead of dividing by a statistic (DyT).

    Zhu et al. 2025 (arXiv:2503.10622). Outlier dimensions saturate: their output is a sign, and no gradient passes.

    Args:
        dim: Dimensions of an embedding.
        alpha: First value of the learned steepness, one for all dimensions.

    Raises:
        InputError: ``alpha`` is not positive.
    """

    bends = "bends each value by a tanh"

    def __init__(self, dim: int, *, alpha: float = 0.5) -> None:
        super().__init__(dim)
        require_positive("alpha", alpha, advice="Give for example normalizer.alpha=0.5")
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.learn(weight=True, bias=True)

    def normalize(self, h: Tensor) -> Tensor:
        return self.apply_affine(torch.tanh(self.alpha.to(h.dtype) * h))

    def largest_gain(self, h: Tensor) -> Tensor:
        """``max_i |weight_i alpha| (1 - tanh^2(alpha h_i))``; always attained."""
        assert self.weight is not None
        alpha, weight = self.alpha.to(h.dtype), self.weight.to(h.dtype)
        return (weight * alpha * (1 - torch.tanh(alpha * h) ** 2)).abs().amax(1)

    def saturated(self, h: Tensor) -> Tensor:
        """Returns where ``|tanh| > 0.9``: there the slope is below a fifth of its largest value."""
        return (self.alpha.to(h.dtype) * h).tanh().abs() > 0.9


def _variance(x: Tensor) -> Tensor:
    """Returns the biased variance over the last axis; ``Tensor.var`` would warn if there are no rows."""
    return (x - x.mean(-1, keepdim=True)).square().mean(-1)


def as_type(parameter: Tensor | None, h: Tensor) -> Tensor | None:
    """Returns ``parameter`` in the type of ``h``, the type of the computation."""
    return None if parameter is None else parameter.to(h.dtype)
