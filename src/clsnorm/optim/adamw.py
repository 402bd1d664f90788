"""AdamW with learning rates by depth, with and without bias correction."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from clsnorm.errors import require_nonnegative, require_probability
from clsnorm.optim.groups import Groups, arrange


class LayerwiseAdam(torch.optim.Optimizer):
    """Base of the Adams here: learning rates by depth, see `clsnorm.optim.groups.arrange`.

    A new one sets ``default_eps`` and implements `start`.

    Args:
        groups: What `parameter_groups` returns, or plain parameters.
        lr: Learning rate at the head.
        betas: Decay rates of the two moments.
        eps: Added to the root of the second moment; None: the class's ``default_eps``.
        weight_decay: Decoupled weight decay of matrices.
        layer_decay: Factor from layer to layer; 1 trains all layers at the same rate.
        head_lr_factor: The head's learning rate over ``lr``.

    Raises:
        InputError: If a rate or factor is out of range.
    """

    default_eps: ClassVar[float]

    def __init__(
        self,
        groups: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 0.01,
        layer_decay: float = 1.0,
        head_lr_factor: float = 1.0,
    ) -> None:
        arranged = arrange(groups, lr=lr, layer_decay=layer_decay, head_lr_factor=head_lr_factor)
        eps = self.default_eps if eps is None else eps
        for beta in betas:
            require_probability("optimizer.betas", beta, advice="Set optimizer.betas=[0.9,0.999]")
        require_nonnegative("optimizer.eps", eps, advice="Set optimizer.eps=1e-8")
        require_nonnegative("optimizer.weight_decay", weight_decay, advice="Set optimizer.weight_decay=0.01")
        options = {"lr": lr, "betas": (betas[0], betas[1]), "eps": eps, "weight_decay": weight_decay}
        self.start(arranged, options)

    @abstractmethod
    def start(self, groups: Groups | list[Tensor], options: dict[str, Any]) -> None:
        """Calls the constructor of torch's class with ``options``: ``lr``, ``betas``, ``eps`` and ``weight_decay``."""


class AdamW(LayerwiseAdam, torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019) with learning rates by depth; arguments as in `LayerwiseAdam`."""

    default_eps = 1e-8

    def start(self, groups: Groups | list[Tensor], options: dict[str, Any]) -> None:
        # The fused kernel is several times faster on a CPU; on a GPU torch's default also works with gradient clipping.
        torch.optim.AdamW.__init__(self, groups, **options, fused=True if _on_cpu(groups) else None)


class AdamWUncorrected(LayerwiseAdam):
    r"""Adam as in BERT's published code: decoupled decay, and no correction of the moments' bias toward zero.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        p \leftarrow p - \text{lr} \left( \frac{m}{\sqrt{v} + \epsilon} + \lambda p \right)

    The first steps are up to :math:`(1 - \beta_1) / \sqrt{1 - \beta_2} = 3.2` times as large as AdamW's, which makes
    fine-tuning on few examples unstable. Arguments as in `LayerwiseAdam`.

    References:
        ``optimization.py`` of google-research/bert; On the Stability of Fine-tuning BERT (Mosbach et al., 2021),
        https://arxiv.org/abs/2006.04884; Revisiting Few-sample BERT Fine-tuning (Zhang et al., 2021),
        https://arxiv.org/abs/2006.05987
    """

    default_eps = 1e-6

    def start(self, groups: Groups | list[Tensor], options: dict[str, Any]) -> None:
        torch.optim.Optimizer.__init__(self, groups, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Performs one step; returns the value of ``closure``."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = group["betas"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # The decay applies to the old value: parameter * (1 - lr * decay) - lr * mean / (sqrt(square) + eps).
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(mean, square.sqrt().add_(group["eps"]), value=-group["lr"])


def _on_cpu(groups: Groups | list[Tensor]) -> bool:
    parameters = itertools.chain.from_iterable(g["params"] if isinstance(g, dict) else [g] for g in groups)
    return all(isinstance(p, Tensor) and p.device.type == "cpu" for p in parameters)
