"""Normalizers that use or replace the parameters of the encoder's last layer norm."""

from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.normalizers.calibrated import Calibrated
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_floor
from clsnorm.statistics import Moments


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
        norm = _require_norm(norm, self.dim, "normalizer=ln_strip")
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


class LayerNormRefit(Calibrated):
    """``z = gamma' x + beta'``, ``x`` the normalized input of the encoder's last layer norm, ``gamma' = gamma / s``.

    ``beta' = (beta - mu) / s``, ``mu`` and ``s`` mean and standard deviation of ``h = gamma x + beta`` over the
    training split. So the encoder itself starts with embeddings of mean 0 and standard deviation 1 in each dimension,
    as after `Standardize`. But ``gamma'`` and ``beta'`` stay parameters of the encoder and are trained with it, and no
    frozen map follows: the normalizer returns its input. A dead dimension (`dead_dimensions`) is centred and not
    scaled. The new values are part of the encoder's state, in checkpoints too.

    Args:
        dim: Dimensions of an embedding.
        dead: Share of the median ``s`` up to which a dimension is dead.

    Raises:
        InputError: ``dead`` is not between 0 and 0.5, the encoder's embeddings are not the output of a layer norm with
            scale and bias, or it is calibrated a second time.
    """

    calibration = Moments
    changes_encoder = True
    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int, *, dead: float = DEAD) -> None:
        super().__init__(dim, dead=dead)
        self._norms: list[nn.LayerNorm] = []  # in a list, so that it is not a part of this module
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("deviation", torch.ones(dim, dtype=torch.float32))

    def take_encoder_norm(self, norm: nn.LayerNorm | None) -> None:
        norm = _require_norm(norm, self.dim, "normalizer=ln_refit")
        if norm.bias is None:
            raise InputError(
                "Expected a last layer norm with a bias for normalizer=ln_refit, which centres by it, but this "
                "encoder's has none. Choose normalizer=standardize"
            )
        self._norms = [norm]

    @torch.no_grad()
    def take(self, accumulator: Moments) -> None:
        if self.examples > 0:
            raise InputError("Expected one calibration of normalizer=ln_refit, which changes the encoder, but got two")
        mean, spread = accumulator.mean.cpu(), accumulator.variance.sqrt().cpu()
        deviation = torch.where(self.dead.cpu(), 1.0, spread)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        for norm in self._norms:
            norm.weight.copy_(norm.weight.double().cpu() / deviation)
            norm.bias.copy_((norm.bias.double().cpu() - mean) / deviation)

    def calibrate(self, accumulator: Any) -> None:
        super().calibrate(accumulator)
        if self._norms:  # from now on the encoder's embeddings have this centre and this spread
            self.calibrated_center.zero_()
            self.calibrated_spread /= self.deviation

    def normalize(self, h: Tensor) -> Tensor:
        self.require_calibration()
        return h

    def original(self, h: Tensor) -> Tensor:
        return h * self.deviation.to(h.dtype) + self.mean.to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """1: gradients at ``z`` are those at ``h``."""
        return h.new_ones(())

    def as_affine(self) -> tuple[Tensor, Tensor]:
        self.require_calibration()
        scale = torch.ones_like(self.deviation, dtype=torch.float64)
        return scale, torch.zeros_like(scale)

    def start_affine(self) -> tuple[Tensor, Tensor]:
        self.require_calibration()
        deviation = self.deviation.double()
        return deviation.reciprocal(), -self.mean.double() / deviation

    def details(self) -> dict[str, Any]:
        """Returns what `Calibrated.details` does, and ``gain``, the largest ``1 / s``."""
        return super().details() | {"gain": float(self.deviation.reciprocal().amax())}

    def extra_repr(self) -> str:
        return f"dead={self.dead_share}"


def _require_norm(norm: nn.LayerNorm | None, dim: int, option: str) -> nn.LayerNorm:
    if norm is None or norm.weight is None or norm.weight.shape != (dim,):
        raise InputError(
            f"Expected an encoder whose embeddings come out of a layer norm, for {option}, but this one has none at "
            "this tap. Choose a BERT-like model and model.tap=hidden, or another normalizer"
        )
    return norm
