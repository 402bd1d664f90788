"""The few collectives that statistics and normalizers share; on one process each is the identity.

Every function is collective: all processes must call it, in the same order, also those that hold no example.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


def is_active() -> bool:
    """Tells whether several processes take part, so that collectives do something."""
    return world_size() > 1


def rank() -> int:
    """Returns this process's number, 0 on one process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Returns the sum of ``tensor`` over all processes, without gradient; ``tensor`` itself is left as it is.

    On one process it returns ``tensor`` itself, detached.
    """
    tensor = tensor.detach()
    if not is_active():
        return tensor
    total = tensor.to(_carrier(tensor.device), copy=True).contiguous()
    dist.all_reduce(total, op=dist.ReduceOp.SUM)
    return total.to(tensor.device)


def differentiable_all_reduce_sum(tensor: Tensor) -> Tensor:
    """Returns the sum of ``tensor`` over all processes; its backward sums the gradients over all processes too.

    With the loss of process r written as ``L_r``, the gradient that arrives at ``tensor`` is that of ``sum_r L_r``:
    what every process's loss says of this process's share. As backward is collective, either all processes
    or none must ask for a gradient of ``tensor``; a process without examples still needs a graph behind its empty
    tensor.
    """
    return _AllReduceSum.apply(tensor) if is_active() else tensor


def broadcast_object(obj: Any) -> Any:
    """Returns process 0's ``obj`` on every process. The object is pickled."""
    if not is_active():
        return obj
    box = [obj]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(obj: Any) -> list[Any]:
    """Returns the objects of all processes, in the order of their ranks, on every process. They are pickled."""
    if not is_active():
        return [obj]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, obj)
    return gathered


def own_parts(parts: list[Any]) -> list[Any]:
    """Returns what this process takes up of what `gather_objects` once returned, in a run that now goes on.

    With as many processes as then it is the process's own part, so that sums are added in the same order, to the bit;
    else the first process takes all parts and the others none.
    """
    if len(parts) == world_size():
        return [parts[rank()]]
    return parts if rank() == 0 else []


def barrier() -> None:
    """Waits until every process has come here."""
    if is_active():
        dist.barrier()


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor) -> Tensor:
        return all_reduce_sum(tensor)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        return all_reduce_sum(gradients[0])


def _carrier(device: torch.device) -> torch.device:
    """Returns a device whose tensors the group can carry: NCCL knows none but its own GPU."""
    if device.type == "cpu" and "nccl" in dist.get_backend() and "gloo" not in dist.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return device
