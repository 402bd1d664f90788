"""The cosine head, folding a normalizer into a head, and controls of a head: its initial function, its dropout noise.

A normalizer changes the head's inputs, and with them things that have nothing to do with geometry: the function that
the randomly drawn head computes, the noise that dropout adds to it, and how far one step of the optimizer moves it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError, require_positive
from clsnorm.normalizers import Normalizer

LARGEST_CONDITION = 1e6  # condition number of a matrix by whose inverse float32 weights can be multiplied


class CosineHead(nn.Module):
    """``logits_c = scale * cos(z, w_c)``, in `[-scale, scale]`: independent of the length of an embedding.

    NormFace (Wang et al. 2017, arXiv:1704.06369) and CosFace (2018, arXiv:1801.09414), without their margins. There is
    no bias.

    Args:
        dim: Dimensions of an embedding.
        classes: Number of classes, at least 2: a cosine cannot predict a value.
        scale: Initial value of the learned scale, the inverse of the temperature.

    Raises:
        InputError: There is only one output, or ``scale`` is not positive.
    """

    bias = None

    def __init__(self, dim: int, classes: int, *, scale: float = 20.0) -> None:
        super().__init__()
        if classes < 2:
            raise InputError(
                "Expected classes for classifier=cosine, but the data set has a number to predict. "
                "Use classifier=linear"
            )
        require_positive("classifier.head.scale", scale, advice="Set classifier.head.scale=20")
        self.weight = nn.Parameter(torch.randn(classes, dim))
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    @property
    def directions(self) -> Tensor:
        """The unit vectors that embeddings are compared with, ``(classes, dim)``."""
        return nn.functional.normalize(self.weight)

    def forward(self, z: Tensor) -> Tensor:
        """Returns logits ``(B, classes)`` for embeddings ``(B, dim)``; 0 for an embedding of length 0."""
        cosines = nn.functional.linear(nn.functional.normalize(z), self.directions)
        return self.scale.to(cosines.dtype) * cosines


@torch.no_grad()
def fold(head: nn.Module, normalizer: Normalizer) -> nn.Linear:
    """Returns one linear layer equal to ``normalizer`` followed by ``head``: ``W A`` and ``b + W c``.

    ``z = A h + c`` is the normalizer's map in evaluation. Products are computed in float64 and rounded once, to the
    type of ``head``. In float32 the two differ only by rounding: by less than ``1e-6 (||W A|| ||h|| + ||W|| ||z||)``
    (Frobenius and Euclidean norms), which exceeds 1e-5 if ``A`` has large gains.

    Raises:
        InputError: ``head`` is not linear, or ``normalizer`` not affine in evaluation.
    """
    linear, name = _linear(head, "to fold a normalizer into"), type(normalizer).__name__
    affine = normalizer.as_affine()
    if affine is None:
        raise InputError(
            f"Expected a normalizer that is affine in evaluation, to fold into the head, but {name} is not: it "
            f"{normalizer.bends}. Keep it in front of the head"
        )
    matrix, shift = affine
    weight = linear.weight.double()
    folded = nn.Linear(linear.in_features, linear.out_features, device=weight.device, dtype=linear.weight.dtype)
    folded.weight.copy_(weight * matrix if matrix.ndim == 1 else weight @ matrix)
    folded.bias.copy_(weight @ shift + (0.0 if linear.bias is None else linear.bias.double()))
    return folded


@torch.no_grad()
def absorb_mean(head: nn.Module, normalizer: Normalizer, mean: Tensor) -> None:
    """Subtracts ``W mean(z)`` from the bias of ``head``: its first outputs are those on centred ``z``.

    With the identity these are the first logits of `clsnorm.normalizers.Center`, while the embeddings, and so the
    gradients at ``W``, keep their mean.

    Args:
        head: A linear layer.
        normalizer: Maps ``h`` to ``z``; affine in evaluation.
        mean: Mean of ``h``, ``(dim,)``, float64.

    Raises:
        InputError: ``head`` is not linear, or has no bias; or ``normalizer`` is not affine, or takes its statistics
            from training batches.
    """
    linear = _linear(head, "for classifier.absorb_mean=true", "classifier.absorb_mean=false")
    matrix, shift = _settled_affine(normalizer, "classifier.absorb_mean=true", "classifier.absorb_mean=false")
    if linear.bias is None:
        raise InputError(
            "Expected a head with a bias for classifier.absorb_mean=true. Leave out classifier.head.bias=false, or set "
            "classifier.absorb_mean=false"
        )
    mean = mean.to(matrix)
    absorbed = (matrix * mean if matrix.ndim == 1 else matrix @ mean) + shift
    linear.bias.copy_(linear.bias.double() - linear.weight.double() @ absorbed)


def _linear(head: nn.Module, purpose: str, cure: str = "classifier.init=drawn") -> nn.Linear:
    if not isinstance(head, nn.Linear):
        raise InputError(
            f"Expected a linear head {purpose}, but got {type(head).__name__}, which cannot undo or absorb the "
            f"normalizer. Use classifier=linear, or set {cure}"
        )
    return head


def _settled_affine(normalizer: Normalizer, purpose: str, cure: str) -> tuple[Tensor, Tensor]:
    """Returns ``(A, c)`` at the start, or refuses a normalizer that is not affine or not settled before training."""
    affine = normalizer.start_affine()
    if affine is None or normalizer.mixes_batch:
        reason = f"is not: it {normalizer.bends}" if affine is None else "takes its statistics from each training batch"
        raise InputError(
            f"Expected an affine normalizer that is settled before training, for {purpose}, but "
            f"{type(normalizer).__name__} {reason}. Set {cure}"
        )
    return affine


@torch.no_grad()
def fold_into(head: nn.Module, normalizer: Normalizer) -> None:
    """Changes ``head`` so that without ``normalizer`` it computes what it did after it: ``W A``, ``b + W c``.

    The inverse of `match_function`. A run that starts so and trains without the normalizer has its start, but not its
    path.

    Raises:
        InputError: ``head`` is not linear, or lacks the bias to hold a shift; or ``normalizer`` is not affine, or takes
            its statistics from training batches.
    """
    linear = _linear(head, "for classifier.init=normalizer_folded")
    _, shift = _settled_affine(normalizer, "classifier.init=normalizer_folded", "classifier.init=drawn")
    if linear.bias is None and shift.any():
        raise InputError(
            f"Expected a head with a bias for classifier.init=normalizer_folded, for {type(normalizer).__name__} "
            "shifts the embeddings. Leave out classifier.head.bias=false, or set classifier.init=drawn"
        )
    folded = fold(linear, normalizer)
    linear.weight.copy_(folded.weight)
    if linear.bias is not None:
        linear.bias.copy_(folded.bias)


@torch.no_grad()
def match_function(head: nn.Module, normalizer: Normalizer) -> None:
    """Changes ``head`` so that after ``normalizer`` it computes what it did without: ``W A^(-1)``, ``b - W A^(-1) c``.

    Raises:
        InputError: ``head`` is not linear, or lacks the bias to absorb a shift; or ``normalizer`` is not affine and
            one to one, or takes its statistics from training batches.
    """
    linear = _linear(head, "for classifier.init=function_matched")
    name = type(normalizer).__name__
    matrix, shift = _settled_affine(normalizer, "classifier.init=function_matched", "classifier.init=drawn")
    if linear.bias is None and shift.any():
        raise InputError(
            f"Expected a head with a bias for classifier.init=function_matched, for {name} shifts the embeddings. "
            "Leave out classifier.head.bias=false, or set classifier.init=drawn"
        )
    matrix = matrix.diag() if matrix.ndim == 1 else matrix
    singular = torch.linalg.svdvals(matrix)
    if not singular[0] < LARGEST_CONDITION * singular[-1]:
        rank = int((singular > singular[0] / LARGEST_CONDITION).sum())
        raise InputError(
            f"Expected a normalizer that is one to one, for classifier.init=function_matched, but {name} keeps {rank} "
            f"of {len(singular)} directions, and no head after it computes the same function. Set classifier.init=drawn"
        )
    weight = torch.linalg.solve(matrix, linear.weight.double(), left=False)
    if linear.bias is not None:
        linear.bias.copy_(linear.bias.double() - weight @ shift)
    linear.weight.copy_(weight)


@torch.no_grad()
def dropout_noise(head: nn.Linear, z: Tensor, *, probability: float) -> float:
    r"""Returns the noise that dropout before ``head`` puts on its outputs, over the outputs' signal.

    With :math:`\tilde W` and :math:`\tilde f` the weights and outputs without their mean over classes, which softmax
    does not see (with one output: as they are), it is

    .. math:: \sqrt{\frac{p}{1 - p} \cdot \frac{\text{mean}_{n, c} \sum_j \tilde W_{cj}^2 z_{nj}^2}
        {\text{mean}_c \text{Var}_n \tilde f_c(z_n)}}:

    the standard deviation over dropout masks, exactly, over that of clean outputs between examples. Without two
    examples there is no signal, and the result is NaN.

    Args:
        head: A linear layer.
        z: Its inputs, ``(n, d)``.
        probability: Of dropout, :math:`p`.
    """
    if len(z) < 2:
        return math.nan
    z, weight = z.detach().to("cpu", torch.float64), visible(head.weight.detach().to("cpu", torch.float64).T)
    noise = (z**2 @ weight**2).mean()
    signal = (z @ weight).var(0, correction=0).mean()
    return float((probability / (1 - probability) * noise / signal).sqrt())


def visible(outputs: Tensor) -> Tensor:
    """Returns what a softmax sees of outputs ``(..., C)``: the mean over classes taken out; one output is unchanged."""
    return outputs - outputs.mean(-1, keepdim=True) if outputs.shape[-1] > 1 else outputs
