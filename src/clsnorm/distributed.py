"""The few collective operations that the package needs; on one process each is the identity.

All processes must call them, in the same order, also processes without examples.
"""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


def is_active() -> bool:
    """Returns whether there are several processes, so that collectives have an effect."""
    return world_size() > 1


def rank() -> int:
    """Returns the number of this process; 0 if it is the only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def machines() -> int:
    """Returns the number of machines, each with as many processes."""
    return world_size() // int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if is_active() else 1


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Returns the sum of ``tensor`` over all processes, without gradient; ``tensor`` itself is unchanged.

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

    With ``L_r`` the loss of process r, the gradient at ``tensor`` is that of ``sum_r L_r``, as this process's share
    affects the losses of all. The backward pass is collective, so either all processes or none must need a gradient
    of ``tensor``; a process without examples still needs a graph behind its empty tensor.
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
    """Returns this process's share of a saved list of `gather_objects`, when a run is resumed.

    With as many processes as before, it is the process's own part, so that sums are added in the same order, to the
    bit. Otherwise process 0 gets all parts and the others none.
    """
    if len(parts) == world_size():
        return [parts[rank()]]
    return parts if rank() == 0 else []


def barrier() -> None:
    """Waits until all processes have reached this call."""
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
    """Returns a device whose tensors the process group can send: NCCL only supports its own GPU."""
    if device.type == "cpu" and "nccl" in dist.get_backend() and "gloo" not in dist.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return device
