"""A normalizer that uses the parameters of the encoder's last layer norm."""

from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_floor


class LayerNormStrip(Normalizer):
    """``z = (h - beta) / gamma``, ``gamma`` and ``beta`` the scale and bias of the encoder's last layer norm.

    The outlier dimensions of BERT's embeddings come from these two vectors (Kovaleva et al. 2021, arXiv:2105.06990);
    without them each embedding has mean 0 and variance 1 over its dimensions. They are copied when the classifier is
    built and stay fixed, so the map undoes the layer norm exactly at the first step, is affine at all steps, and needs
    no data. A dimension whose ``|gamma_i|`` is almost zero is dead (`dead_dimensions`): ``z_i = h_i - beta_i``. Of the
    others, ``|gamma_i|`` is raised to at least ``eps`` times the largest. For encoders that end in a layer norm, at
    ``model.tap=hidden``. Before `take_encoder_norm` it is the identity.

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of ``|gamma_i|``, relative to the largest.
        dead: Share of the median ``|gamma_i|`` up to which a dimension is dead.

    Raises:
        InputError: ``eps`` is not above 0 and at most 1, ``dead`` not between 0 and 0.5, or the encoder's embeddings
            are not the output of a layer norm.
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, dim: int, *, eps: float = 1e-3, dead: float = DEAD) -> None:
        super().__init__(dim)
        require_floor("eps", eps)
        require_dead_share(dead)
        self.eps = eps
        self.dead_share = dead
        self.register_buffer("gamma", torch.ones(dim, dtype=torch.float32))
        self.register_buffer("beta", torch.zeros(dim, dtype=torch.float32))
        self._dead: list[int] = []

    def take_encoder_norm(self, norm: nn.LayerNorm | None) -> None:
        if norm is None or norm.weight is None or norm.weight.shape != (self.dim,):
            raise InputError(
                "Expected an encoder whose embeddings come out of a layer norm, for normalizer=ln_strip, but this one "
                "has none at this tap. Choose a BERT-like model and model.tap=hidden, or another normalizer"
            )
        gamma = norm.weight.detach()
        beta = torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach()
        dead = dead_dimensions(beta, gamma.abs(), share=self.dead_share)
        raised = torch.where(gamma < 0, -1.0, 1.0) * gamma.abs().maximum(self.eps * gamma.abs().max())
        self._dead = dead.nonzero().flatten().tolist()
        self.gamma.copy_(torch.where(dead, 1.0, raised))
        self.beta.copy_(beta)

    def details(self) -> dict[str, Any]:
        """Returns which dimensions are dead."""
        return {"dead_dimensions": self._dead}

    def normalize(self, h: Tensor) -> Tensor:
        return (h - self.beta.to(h.dtype)) / self.gamma.to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``1 / min|gamma|``; always attained."""
        return 1 / self.gamma.to(h.dtype).abs().amin()

    def as_affine(self) -> tuple[Tensor, Tensor]:
        gamma = self.gamma.double()
        return gamma.reciprocal(), -self.beta.double() / gamma

    def extra_repr(self) -> str:
        return f"eps={self.eps}, dead={self.dead_share}"
