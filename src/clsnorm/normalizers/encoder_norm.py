"""A normalizer that uses the parameters of the encoder's last layer norm."""

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.normalizers.normalizer import Normalizer, require_floor


class LayerNormStrip(Normalizer):
    """``z = (h - beta) / gamma``, ``gamma`` and ``beta`` the scale and bias of the encoder's last layer norm.

    The outlier dimensions of BERT's embeddings come from these two vectors (Kovaleva et al. 2021, arXiv:2105.06990);
    without them each embedding has mean 0 and variance 1 over its dimensions. They are copied when the classifier is
    built and stay fixed, so the map undoes the layer norm exactly at the first step, is affine at all steps, and needs
    no data. ``|gamma_i|`` is raised to at least ``eps`` times the largest. For encoders that end in a layer norm, at
    ``model.tap=hidden``. Before `take_encoder_norm` it is the identity.

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of ``|gamma_i|``, relative to the largest.

    Raises:
        InputError: ``eps`` is not above 0 and at most 1, or the encoder's embeddings are not the output of a
            layer norm.
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, dim: int, *, eps: float = 1e-3) -> None:
        super().__init__(dim)
        require_floor("eps", eps)
        self.eps = eps
        self.register_buffer("gamma", torch.ones(dim, dtype=torch.float32))
        self.register_buffer("beta", torch.zeros(dim, dtype=torch.float32))

    def take_encoder_norm(self, norm: nn.LayerNorm | None) -> None:
        if norm is None or norm.weight is None or norm.weight.shape != (self.dim,):
            raise InputError(
                "Expected an encoder whose embeddings come out of a layer norm, for normalizer=ln_strip, but this one "
                "has none at this tap. Choose a BERT-like model and model.tap=hidden, or another normalizer"
            )
        gamma = norm.weight.detach()
        floor = self.eps * gamma.abs().max()
        self.gamma.copy_(torch.where(gamma < 0, -1.0, 1.0) * gamma.abs().maximum(floor))
        self.beta.copy_(torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach())

    def normalize(self, h: Tensor) -> Tensor:
        return (h - self.beta.to(h.dtype)) / self.gamma.to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``1 / min|gamma|``; always attained."""
        return 1 / self.gamma.to(h.dtype).abs().amin()

    def as_affine(self) -> tuple[Tensor, Tensor]:
        gamma = self.gamma.double()
        return gamma.reciprocal(), -self.beta.double() / gamma

    def extra_repr(self) -> str:
        return f"eps={self.eps}"
