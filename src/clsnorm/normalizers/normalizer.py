"""`Normalizer`: the base class of all normalizers of [CLS] embeddings, and the contract that they keep."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError, refuse, require_between, require_fraction, require_switch, require_whole
from clsnorm.statistics import Accumulator


class Normalizer(nn.Module, ABC):
    """Maps embeddings ``(B, dim)`` to normalized embeddings ``(B, dim)`` of the same type.

    A subclass implements `normalize`, and `calibrate` and `as_affine` if they apply; class attributes describe it. The
    base class checks shapes, computes in float32 or better with autocast off, and casts the result back. Buffers stay
    in float32 or better even if the module is cast to a half type. ``B`` may be zero on a process whose part of the
    global batch is empty.

    Attributes:
        calibration: The accumulator class that is filled with the training split before training and passed to
            `calibrate`, such as ``Moments``; None if there is nothing to calibrate.
        mixes_batch: Whether, in training, the output of one example depends on the other examples of its batch.
        mixes_gradients: Whether, in training, the gradient at one example's ``h`` includes terms of the other examples'
            losses. Equal to ``mixes_batch`` unless a class sets it, because its statistics count as constants.
        min_batch_size: The smallest global batch that can be trained on.
        idle_below: Smaller global batches can be trained on, but the map learns nothing from them.
        warmup_steps: Training batches before the map is that of its formula. Until then it is a simpler one.
        reduces: Which statistics of a batch are summed over processes in training, in words; empty if none.
        changes_encoder: Whether `calibrate` changes the encoder's last layer norm, instead of mapping its output: only
            once, before training.
        bends: Why the map is not affine in evaluation, in words that follow "it"; empty if `as_affine` returns a map.

    Args:
        dim: Dimensions of an embedding.

    Raises:
        InputError: ``dim`` is not a whole number of at least 1.
    """

    calibration: ClassVar[type[Accumulator] | None] = None
    mixes_batch: ClassVar[bool] = False
    mixes_gradients: ClassVar[bool] = False
    min_batch_size: ClassVar[int] = 1
    idle_below: ClassVar[int] = 1
    warmup_steps: int = 0
    reduces: ClassVar[str] = ""
    changes_encoder: ClassVar[bool] = False
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
            InputError: ``weight`` or ``bias``, the values of the option ``affine``, is neither true nor false.
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
            InputError: ``h`` is not floating point or not of shape ``(batch, dim)``, or the normalizer still has to be
                calibrated.
        """
        self._check(h)
        with torch.autocast(device_type=h.device.type, enabled=False):
            return self.normalize(h.to(torch.promote_types(h.dtype, torch.float32))).to(h.dtype)

    def calibrate(self, accumulator: Any) -> None:
        """Calibrates the map on ``accumulator``, an instance of `calibration` filled with the training split.

        Raises:
            InputError: There is nothing to calibrate, or the accumulator does not fit.
        """
        raise InputError(f"Expected a normalizer with a calibration, but {type(self).__name__} needs none")

    @torch.no_grad()
    def gain_bound(self, h: Tensor) -> Tensor | None:
        """Returns the largest factor by which the backward pass can lengthen a gradient, ``(B,)``; None if unknown.

        For each example it is ``sup_g ||J^T g|| / ||g||`` (Euclidean norms), the largest singular value of
        ``J = dz_i/dh_i``. If training mixes the batch, ``J`` is that of the whole batch: one number for all examples,
        which bounds ``sqrt(sum_i ||g_i||^2)`` at ``h`` over that at ``z``; single rows may grow by more.

        Args:
            h: Embeddings ``(B, dim)`` of the last forward pass, whose statistics a batch normalizer remembers.
        """
        with torch.autocast(device_type=h.device.type, enabled=False):
            gain = self.largest_gain(h.to(torch.promote_types(h.dtype, torch.float32)))
        return None if gain is None else gain.expand(len(h)).clone()  # not a view of a buffer

    def largest_gain(self, h: Tensor) -> Tensor | None:
        """Returns the bound for `gain_bound`: ``(B,)``, or ``()`` if equal for all examples; float32 or better."""
        return None

    def saturated(self, h: Tensor) -> Tensor | None:
        """Returns at which values of ``h`` the map is flat, ``(B, dim)``, bool; None if it is flat nowhere."""
        return None

    def take_encoder_norm(self, norm: nn.LayerNorm | None) -> None:
        """Called when a classifier is built, with the layer norm that outputs ``h``; None if there is none.

        Raises:
            InputError: The normalizer needs a layer norm, and there is none.
        """

    def take_batch_size(self, size: int) -> None:
        """Called when a classifier is built, with the examples of a training batch over all processes."""

    def details(self) -> dict[str, Any]:
        """Returns facts about the map that ``results.json`` holds as ``normalizer_details``: plain numbers and lists.

        What a normalizer found in the data, for instance: ``dead_dimensions``, ``outlier_dimensions``.
        """
        return {}

    def take_loss_scale(self, scale: Tensor) -> None:
        """Called before each backward pass under a gradient scaler, with the factor of the loss, ``()``."""

    @torch.no_grad()
    def settle(self, h: Tensor) -> None:
        """Takes the state that training on batches such as ``h`` leads to: their running statistics, after any warm-up.

        Args:
            h: Embeddings ``(B, dim)`` of a training batch.
        """
        self.train()(h)

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        """Returns ``(A, c)`` such that in evaluation ``z = A h + c``, both float64; None if the map is not affine.

        ``A`` is ``(dim,)`` if diagonal, else ``(dim, dim)``; ``c`` is ``(dim,)``. A linear layer ``W z + b`` after the
        normalizer then equals the layer with weight ``W A`` and bias ``b + W c`` before it: `clsnorm.model.fold`.
        """
        return None

    def original(self, h: Tensor) -> Tensor:
        """Returns the embeddings of the encoder as loaded for its embeddings ``h`` at the start, ``(B, dim)``.

        They differ only if the calibration changes the encoder. ``z`` at the start is that of `start_affine` on them.
        """
        return h

    def start_affine(self) -> tuple[Tensor, Tensor] | None:
        """Returns `as_affine` of the map from the embeddings of the encoder as loaded, `original`, to ``z``."""
        return self.as_affine()

    def apply_affine(self, z: Tensor) -> Tensor:
        """Returns ``z * weight + bias``, as far as these parameters exist, in the type of ``z``."""
        if self.weight is not None:
            z = z * self.weight.to(z.dtype)
        return z if self.bias is None else z + self.bias.to(z.dtype)

    def largest_weight(self, h: Tensor) -> Tensor:
        """Returns ``max_i |weight_i|``, ``()``, in the type of ``h``; 1 if nothing is learned."""
        return h.new_ones(()) if self.weight is None else self.weight.to(h.dtype).abs().amax()

    def fold_affine(self, matrix: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``(A, c)`` of the map ``z = matrix h + shift`` followed by `apply_affine`, without gradient."""
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
        # module.to(bfloat16), half() and "bf16-true" training end up here: statistics stay in float32.
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
