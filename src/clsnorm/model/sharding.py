"""Sharding: parameters, gradients and optimizer state split over processes, for models too large for one device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar

from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from typing_extensions import override

from clsnorm.lightning_internals import forget_optimizers, set_data_parallel_size
from clsnorm.optim.groups import is_layer

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


class FullyShardedStrategy(ModelParallelStrategy):
    """Fully sharded data parallelism (Zhao et al., 2023, https://arxiv.org/abs/2304.11277), with torch's FSDP2.

    Each process holds a share of every parameter, its gradient and its optimizer state; a layer's parameters are
    gathered while it computes. Gradients equal those of DDP. Works wherever torch has collectives: NCCL on GPUs, gloo
    on CPUs. A checkpoint is one file of whole tensors, which any number of processes can read.

    Attributes:
        precisions: The supported precisions; Lightning does not support ``16-mixed``, whose gradients are scaled.
    """

    precisions: ClassVar[tuple[str, ...]] = ("32-true", "bf16-mixed")

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    @override
    def setup_environment(self) -> None:
        set_data_parallel_size(self, self.num_processes)
        super().setup_environment()

    @override
    def teardown(self) -> None:
        forget_optimizers(self)  # otherwise a file of weights alone is expected to hold their state
        super().teardown()


def shard(classifier: nn.Module, mesh: DeviceMesh) -> None:
    """Shards a classifier's parameters over ``mesh``, by layer of its encoder; does nothing if it is sharded already.

    Names of parameters and keys of ``state_dict`` stay. Parameters outside of the layers are one unit, gathered from
    the start of the forward pass to the end of the backward pass.
    """
    if isinstance(classifier, FSDPModule):
        return
    # torch warns that in-place writes into a module's output would bypass a hook: nothing here does that.
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module \(.*\) returned a view tensor")
    for name, module in classifier.named_modules():
        if is_layer(name):
            fully_shard(module, mesh=mesh)
    fully_shard(classifier, mesh=mesh, reshard_after_forward=False)
    register_fsdp_forward_method(classifier, "embed")
