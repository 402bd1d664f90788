"""Matching a head to that of the identity: the noise of its dropout, and its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clsnorm.errors import InputError, require_choice
from clsnorm.losses import Loss
from clsnorm.model.first_step import Batches, FirstStep, first_step
from clsnorm.model.head import dropout_noise
from clsnorm.optim.compensation import compensate

STEPS = ("none", "total", "specific", "both")
ROWS = ("", "_unmatched", "_of_identity")  # of the buffers ``steps`` and ``noise``, as endings of names in the results


class HeadMatching(nn.Module):
    r"""Sets a head's dropout and learning rates so that it starts as with ``normalizer=identity``, and measures both.

    Inputs of the head are ``z`` with the normalizer and ``h`` with the identity.

    ``match_noise`` sets the dropout probability for which noise over signal on the outputs
    (`clsnorm.model.head.dropout_noise`) equals the identity's at the given probability :math:`p_0`. The noise's
    variance is proportional to :math:`p / (1 - p)`, so :math:`p / (1 - p) = p_0 / (1 - p_0) \cdot k_h^2 / k_z^2` with
    the ratios :math:`k` at :math:`p = 1/2`.

    ``match_step`` sets factors of the head's learning rate, from its `clsnorm.model.first_step.first_step`. ``total``
    and ``specific``: one factor for the whole head, so that this part of the step equals the identity's. ``both``: the
    factor ``r`` of the weight for the specific part and ``c`` of the bias for the common part. As the weight's step
    also moves the mean output, :math:`(c / r - 1) \Delta W m` is added to the bias in each step, with ``m`` the mean of
    ``z`` (`clsnorm.optim.compensation.compensate`). So each factor scales one part of the step alone, and both parts
    are matched exactly for every normalizer.

    Args:
        dim: Dimensions of an embedding.
        match_step: One of `STEPS`.
        match_noise: Whether to match the noise.
        dropout: The identity's dropout probability.

    Attributes:
        rates: ``(2,)``: factors of the learning rates of the head's weight (and any parameter but the bias) and bias.
        shift: ``(dim,)``: :math:`(c / r - 1) m`, or zeros.
        steps: ``(3, 3)``: in its columns the parts of a `FirstStep`; in its rows as in this run, without matching its
            step, with the identity. NaN before `fit`.
        dropout: ``()``: the dropout probability of this run.
        noise: ``(3,)``: noise over signal, in the order of the rows above. NaN before `fit`, or if the head is not
            linear.

    Raises:
        InputError: If an option is out of range.
    """

    rates: Tensor
    shift: Tensor
    steps: Tensor
    dropout: Tensor
    noise: Tensor

    def __init__(self, dim: int, *, match_step: str, match_noise: bool, dropout: float) -> None:
        super().__init__()
        require_choice("classifier.match_step", match_step, STEPS, advice="See docs/normalizers/head.md")
        self.match_step, self.match_noise = match_step, match_noise
        self.register_buffer("rates", torch.ones(2))
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("steps", torch.full((3, 3), float("nan")))
        self.register_buffer("dropout", torch.tensor(float(dropout)))
        self.register_buffer("noise", torch.full((3,), float("nan")))

    def check(self, head: nn.Module, rates: Mapping[str, float]) -> None:
        """Raises InputError if ``head``, or the ``rates`` that it has already, do not allow what is to be matched."""
        if self.match_noise and not isinstance(head, nn.Linear):
            raise InputError(
                f"Expected a linear head for classifier.match_noise=true, but got {type(head).__name__}. Use "
                "classifier=linear, or set classifier.init=drawn and classifier.match_noise=false"
            )
        if self.match_step != "both":
            return
        if not isinstance(head, nn.Linear) or head.bias is None:
            raise InputError(
                "Expected a linear head with a bias for classifier.match_step=both, as the bias takes the common part "
                f"of a step, but got {head}. Set classifier.match_step=specific"
            )
        if rates.get("head.bias", 1.0) != 1:
            raise InputError(
                "Expected classifier.bias_rate=1 with classifier.match_step=both, which sets the bias's rate, but got "
                f"{rates['head.bias']:g}. Set classifier.match_step=specific"
            )

    def fit(
        self,
        of_identity: tuple[nn.Module, Batches],
        own: tuple[nn.Module, Batches],
        *,
        optimizer: Callable[..., Optimizer],
        loss: Loss,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """Measures two heads and matches the second to the first.

        Args:
            of_identity: The head as drawn, and its inputs and labels with the identity in whole batches, one a step.
            own: The head as it starts, and the same batches after the normalizer.
            optimizer: Called with parameter groups.
            loss: Of each example.
            rates: Factors that the parameters of the second head have already, as in `parameter_groups`.

        Raises:
            InputError: A part that is to be matched does not move.
        """
        (head, batches), rates = own, dict(rates or {})
        options: dict[str, Any] = {"optimizer": optimizer, "loss": loss}
        self._fit_noise(_noise(*own), _noise(*of_identity))
        wanted = first_step(*of_identity, **options)
        unmatched = matched = first_step(*own, **options, rates=rates)
        self._fit_rates(unmatched, wanted, torch.cat([z for z, _ in batches]).mean(0))
        if self.match_step != "none":
            factors = {name: factor * rates.get(name, 1.0) for name, factor in self.factors(head).items()}
            matched = first_step(*own, **options, rates=factors, shift=self.shift.double().cpu())
        self.steps.copy_(torch.tensor([matched, unmatched, wanted]))

    def factors(self, head: nn.Module) -> dict[str, float]:
        """Returns the factor of the learning rate of each of the head's parameters, by name, such as ``head.bias``."""
        weight, bias = self.rates.tolist()
        return {f"head.{name}": bias if name == "bias" else weight for name, _ in head.named_parameters()}

    def attach(self, optimizer: Optimizer, head: nn.Module) -> None:
        """Makes ``optimizer`` set the common part of each step of ``head`` apart, if both parts are matched."""
        if self.match_step == "both" and isinstance(head, nn.Linear):
            compensate(optimizer, head, lambda: self.shift)

    def summary(self) -> dict[str, float]:
        """Returns all measurements, by the names that ``results.json`` has for them."""
        named = {"head/weight_rate": float(self.rates[0]), "head/bias_rate": float(self.rates[1])}
        for ending, values, noise in zip(ROWS, self.steps.tolist(), self.noise.tolist(), strict=True):
            named |= {f"head/{part}_step{ending}": v for part, v in zip(FirstStep._fields, values, strict=True)}
            named |= {f"head/noise_over_signal{ending}": noise} if noise == noise else {}
        return named | {"head/dropout": float(self.dropout)}

    def _fit_noise(self, own: float, of_identity: float) -> None:
        """Sets ``dropout`` and ``noise``, from the noise over signal at a dropout probability of one half."""
        odds = odds_of_identity = float(self.dropout) / (1 - float(self.dropout))
        if self.match_noise and odds > 0:
            odds *= of_identity**2 / own**2 if own > 0 else float("nan")
            if not 0 < odds < float("inf"):
                raise InputError(
                    "Expected outputs that differ between examples, for classifier.match_noise=true, but noise over "
                    f"signal would be {own:g}, with the identity {of_identity:g}. Set classifier.match_noise=false"
                )
            self.dropout.fill_(odds / (1 + odds))
        ratios = [own * odds**0.5, own * odds_of_identity**0.5, of_identity * odds_of_identity**0.5]
        self.noise.copy_(torch.tensor(ratios))

    def _fit_rates(self, own: FirstStep, of_identity: FirstStep, mean: Tensor) -> None:
        parts = {"none": (), "both": ("specific", "common")}.get(self.match_step, (self.match_step,))
        sizes = [(getattr(own, part), getattr(of_identity, part)) for part in parts]
        for part, (size, size_of_identity) in zip(parts, sizes, strict=True):
            if not (0 < size < float("inf") and 0 < size_of_identity < float("inf")):
                raise InputError(
                    f"Expected a first step that moves the {part} part of the logits, for classifier.match_step="
                    f"{self.match_step}, but it moves it by {size:g}, with the identity by {size_of_identity:g}. "
                    "Set classifier.match_step=none"
                )
        rates = [size_of_identity / size for size, size_of_identity in sizes] or [1.0]
        self.rates.copy_(torch.tensor([rates[0], rates[-1]]))
        if self.match_step == "both":
            self.shift.copy_((rates[1] / rates[0] - 1) * mean)


def _noise(head: nn.Module, batches: Batches) -> float:
    """Returns noise over signal at a dropout probability of one half; NaN if the head is not linear."""
    if not isinstance(head, nn.Linear):
        return float("nan")
    return dropout_noise(head, torch.cat([z for z, _ in batches]), probability=0.5)


def whole_steps(parts: Sequence[Sequence[tuple[Tensor, ...]]], per_step: int) -> list[tuple[Tensor, ...]]:
    """Returns the tensors of each step, from those of each process's part of each batch.

    Args:
        parts: For each process, for each batch, the tensors of its examples.
        per_step: Batches whose gradients are accumulated.
    """
    batches = [tuple(map(torch.cat, zip(*shares, strict=True))) for shares in zip(*parts, strict=True)]
    steps = [batches[first : first + per_step] for first in range(0, len(batches), per_step)]
    return [tuple(map(torch.cat, zip(*step, strict=True))) for step in steps]


def rename_rate(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Hook before a classifier's state is loaded: one of earlier versions has one rate for the whole head."""
    if (rate := state.pop(f"{prefix}head_rate", None)) is not None:
        state.pop(f"{prefix}first_steps", None)
        new = {f"{prefix}matching.{name}": value for name, value in module.matching.state_dict().items()}
        state.update(new | {f"{prefix}matching.rates": rate.expand(2).clone()})
