"""When gradient descent on a quadratic becomes unstable, for the optimizers whose options say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def threshold(group: dict[str, Any]) -> float | None:
    r"""Returns the largest stable ``learning rate * curvature`` of a parameter group; None if it is not known.

    With momentum :math:`\mu` and dampening :math:`\delta` it is :math:`2 (1 + \mu) / (1 - \delta)`, so 2 for plain
    gradient descent, and with Nesterov's momentum :math:`2 (1 + \mu) / (1 + 2 \mu)` (Cohen et al., 2021,
    https://arxiv.org/abs/2103.00065). For Adam the curvature is that after its preconditioner (`step_scales`), and
    :math:`\mu = \delta = \beta_1`, so 38 at 0.9 (Cohen et al., 2022, https://arxiv.org/abs/2207.14484). Exact for full
    batches without clipping; weight decay and Adam's bias correction are left out.

    Args:
        group: Of an optimizer with the options ``momentum`` (as SGD) or ``betas`` (as Adam).
    """
    if "betas" in group:
        momentum = dampening = float(group["betas"][0])
    elif "momentum" in group:
        momentum, dampening = float(group["momentum"]), float(group.get("dampening", 0.0))
    else:
        return None
    if group.get("nesterov"):
        return 2 * (1 + momentum) / (1 + 2 * momentum)
    return 2 * (1 + momentum) / (1 - dampening)


def step_scales(optimizer: Optimizer, parameters: Sequence[Tensor]) -> list[Tensor] | None:
    r"""Returns the factor from each parameter's gradient to the step, of the parameter's shape or ``()``.

    With Adam it is :math:`\text{lr} / (\sqrt{\hat v} + \epsilon)`, with other optimizers the learning rate of the
    parameter's group. None before Adam's first step, if a parameter has no group, or if `threshold` knows no answer.

    Args:
        optimizer: Of the parameters.
        parameters: The parameters, as the optimizer has them.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    if any(id(p) not in groups or threshold(groups[id(p)]) is None for p in parameters):
        return None
    scales = [_scale(groups[id(p)], optimizer.state.get(p, {}), p) for p in parameters]
    return None if any(scale is None for scale in scales) else scales  # type: ignore[return-value]


def _scale(group: dict[str, Any], state: dict[str, Any], parameter: Tensor) -> Tensor | None:
    rate = torch.as_tensor(float(group["lr"]), device=parameter.device)
    if "betas" not in group:
        return rate
    square = state.get("max_exp_avg_sq", state.get("exp_avg_sq"))
    if square is None:
        return None
    steps = float(state["step"]) if "step" in state else float("inf")  # without a count, the moments are not corrected
    corrected = square.float() / (1 - group["betas"][1] ** steps)
    return rate / (corrected.sqrt() + group["eps"])
