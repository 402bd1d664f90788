"""`Normalizer`: what every normalizer of [CLS] embeddings is and promises."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError, refuse, require_between, require_fraction, require_switch, require_whole
from clsnorm.statistics import Accumulator


class Normalizer(nn.Module, ABC):
    """Maps embeddings ``(B, dim)`` to normalized embeddings ``(B, dim)`` of the same type.

    A new one writes `normalize`, and where they apply `calibrate` and `as_affine`; the class attributes say what it
    needs and does. The base class checks shapes, computes in float32 or better with autocast off, and casts the result
    back. Buffers keep float32 or better even if the module is cast to a half type. ``B`` may be zero on a process whose
    part of the global batch is empty.

    Attributes:
        calibration: The accumulator class to be filled with the training split before training and given to
            `calibrate`, such as ``Moments``; None if there is nothing to calibrate.
        mixes_batch: Whether in training the output of one example depends on the other examples of its batch.
        mixes_gradients: Whether in training the gradient at one example's ``h`` holds a share of the other examples'
            losses, too. As ``mixes_batch`` unless a class says otherwise, whose statistics count as constants.
        min_batch_size: The smallest global batch that can be trained on.
        reduces: What of a batch is summed over processes in training, in words; empty if nothing is.
        bends: What makes the map not affine in evaluation, in words that follow "it"; empty if `as_affine` gives one.

    Args:
        dim: Dimensions of an embedding.

    Raises:
        InputError: ``dim`` is not a positive integer.
    """

    calibration: ClassVar[type[Accumulator] | None] = None
    mixes_batch: ClassVar[bool] = False
    mixes_gradients: ClassVar[bool] = False
    min_batch_size: ClassVar[int] = 1
    reduces: ClassVar[str] = ""
    bends: ClassVar[str] = ""
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "mixes_batch" in vars(cls) and "mixes_gradients" not in vars(cls):
            cls.mixes_gradients = cls.mixes_batch

    def __init__(self, dim: int) -> None:
        super().__init__()
        require_whole("dim", dim, least=1)
        self.dim = dim
        self.learn(weight=False, bias=False)

    def learn(self, *, weight: bool, bias: bool) -> None:
        """Registers the parameters ``weight`` ``(dim,)`` of ones and ``bias`` ``(dim,)`` of zeros, or None for each.

        Raises:
            InputError: ``weight`` or ``bias``, which are what the option ``affine`` says, is neither true nor false.
        """
        for option in (weight, bias):
            require_switch("affine", option, advice="Give normalizer.affine=true")
        self.register_parameter("weight", nn.Parameter(torch.ones(self.dim)) if weight else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(self.dim)) if bias else None)

    @abstractmethod
    def normalize(self, h: Tensor) -> Tensor:
        """Returns the normalized ``h``, ``(B, dim)``, float32 or float64; autocast is off here."""

    def forward(self, h: Tensor) -> Tensor:
        """Returns the normalized embeddings, in the type of ``h``.

        Raises:
            InputError: ``h`` is not floating point or not of shape ``(batch, dim)``, or `calibrate` is still to come.
        """
        self._check(h)
        with torch.autocast(device_type=h.device.type, enabled=False):
            return self.normalize(h.to(torch.promote_types(h.dtype, torch.float32))).to(h.dtype)

    def calibrate(self, accumulator: Any) -> None:
        """Takes what it needs from ``accumulator``, an instance of `calibration` filled with the training split.

        Raises:
            InputError: There is nothing to calibrate, or the accumulator does not fit.
        """
        raise InputError(f"Expected a normalizer with a calibration, but {type(self).__name__} needs none")

    @torch.no_grad()
    def gain_bound(self, h: Tensor) -> Tensor | None:
        """Returns the largest factor by which the backward pass can lengthen a gradient, ``(B,)``; None if not known.

        For each example it is ``sup_g ||J^T g|| / ||g||`` (Euclidean norms), the largest singular value of
        ``J = dz_i/dh_i``. Where training mixes the batch, ``J`` is that of the whole batch, and the one number, for all
        examples, bounds ``sqrt(sum_i ||g_i||^2)`` at ``h`` over that at ``z``; single rows may grow by more.

        Args:
            h: Embeddings ``(B, dim)`` of the last forward pass, which a batch normalizer remembers.
        """
        with torch.autocast(device_type=h.device.type, enabled=False):
            gain = self.largest_gain(h.to(torch.promote_types(h.dtype, torch.float32)))
        return None if gain is None else gain.expand(len(h)).clone()  # no view of a buffer

    def largest_gain(self, h: Tensor) -> Tensor | None:
        """Returns what `gain_bound` does, ``(B,)``, or ``()`` if it is the same for all; float32 or better."""
        return None

    def saturated(self, h: Tensor) -> Tensor | None:
        """Tells of each value of ``h``, ``(B, dim)``, whether the map is flat there; None if it is so nowhere."""
        return None

    def take_encoder_norm(self, norm: nn.LayerNorm | None) -> None:
        """Is told, when a classifier is built, the layer norm whose output ``h`` is; None if ``h`` comes from no such.

        Raises:
            InputError: The normalizer needs one, and there is none.
        """

    def take_loss_scale(self, scale: Tensor) -> None:
        """Is told, before a backward pass under a gradient scaler, what the loss is multiplied by, ``()``."""

    @torch.no_grad()
    def settle(self, h: Tensor) -> None:
        """Takes the state to which training on batches such as ``h`` leads: their running statistics, no warm-up left.

        Args:
            h: Embeddings ``(B, dim)``: a batch that could be trained on.
        """
        self.train()(h)

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        """Returns ``(A, c)`` such that in evaluation ``z = A h + c``, both float64; None if the map is not affine.

        ``A`` is ``(dim,)`` if diagonal, else ``(dim, dim)``; ``c`` is ``(dim,)``. A linear layer ``W z + b`` after the
        normalizer then equals the layer with weight ``W A`` and bias ``b + W c`` before it: `clsnorm.model.fold`.
        """
        return None

    def apply_affine(self, z: Tensor) -> Tensor:
        """Returns ``z * weight + bias`` with the parameters that there are, in the type of ``z``."""
        if self.weight is not None:
            z = z * self.weight.to(z.dtype)
        return z if self.bias is None else z + self.bias.to(z.dtype)

    def largest_weight(self, h: Tensor) -> Tensor:
        """Returns ``max_i |weight_i|``, ``()``, in the type of ``h``; 1 if nothing is learned."""
        return h.new_ones(()) if self.weight is None else self.weight.to(h.dtype).abs().amax()

    def fold_affine(self, matrix: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``(A, c)`` of what ``z = matrix h + shift`` becomes after `apply_affine`, without gradient."""
        if self.weight is not None:
            weight = self.weight.detach().to(matrix)
            matrix, shift = matrix * (weight if matrix.ndim == 1 else weight[:, None]), shift * weight
        if self.bias is not None:
            shift = shift + self.bias.detach().to(shift)
        return matrix, shift

    def _check(self, h: Tensor) -> None:
        if not h.is_floating_point():
            raise InputError(f"Expected floating-point embeddings, but got {h.dtype}. Give h.float()")
        if h.ndim == 2 and h.shape[1] == self.dim:
            return
        message = f"Expected embeddings of shape (batch, {self.dim}), but got {tuple(h.shape)}. "
        if h.ndim == 3:
            raise InputError(message + "Did you pass the whole sequence? Use hidden[:, 0]")
        if h.ndim == 1:
            raise InputError(message + "Is this one embedding? Use h[None]")
        raise InputError(message + f"This normalizer was built for dim={self.dim}; build another for another encoder")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Normalizer":
        # module.to(bfloat16), half() and "bf16-true" training come through here: statistics stay in float32.
        buffers = {id(buffer) for buffer in self.buffers() if buffer.is_floating_point()}

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if id(tensor) in buffers and moved.dtype in (torch.float16, torch.bfloat16):
                return tensor.to(moved.device)
            return moved

        return super()._apply(keep_precision, recurse)


def require_floor(argument: str, value: object) -> None:
    """Raises `InputError` unless ``value`` is a floor relative to the largest value: above 0 and at most 1."""
    advice = f"Give a small number such as normalizer.{argument}=1e-4"
    require_fraction(argument, value, meaning="a floor relative to the largest value,", advice=advice)


def require_rate(argument: str, value: object) -> None:
    """Raises `InputError` unless ``value`` is the weight of the newest batch in an exponential average."""
    advice = f"Give a small number such as normalizer.{argument}=0.1"
    require_fraction(argument, value, meaning="the weight of the newest batch,", advice=advice)


def require_quantiles(low: float, high: float) -> None:
    """Raises `InputError` unless the arguments ``low`` and ``high`` are shares on both sides of the median."""
    require_between("low", low, 0, 0.5, advice="Give for example normalizer.low=0.25")
    require_between("high", high, 0.5, 1, advice="Give for example normalizer.high=0.75")
    if low == high:
        refuse("low", f"below `high`={high:g}", low, "Give for example normalizer.low=0.25")
