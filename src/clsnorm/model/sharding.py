"""Parameters, gradients and optimizer state cut up over the processes, for models that do not fit on one device."""

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
    """Fully sharded data parallelism (Zhao et al., 2023, https://arxiv.org/abs/2304.11277), in torch's second form.

    Each process holds a share of every parameter, its gradient and its optimizer state; a layer's parameters are
    gathered for as long as it computes. Gradients are those of DDP. Works wherever torch has collectives: NCCL on
    GPUs, gloo on CPUs. A checkpoint is one file of whole tensors, which any number of processes reads.

    Attributes:
        precisions: What it can train in; the scaled gradients of ``16-mixed`` are not among them in Lightning.
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
    """Shards a classifier's parameters over ``mesh``, by layer of its encoder; one that is sharded is left alone.

    Names of parameters and keys of ``state_dict`` stay. What lies outside of the layers is one unit, gathered from the
    start of the forward pass to the end of the backward pass.
    """
    if isinstance(classifier, FSDPModule):
        return
    # It warns of writing in place into what a module returned, which would pass by a hook: nothing here does.
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module \(.*\) returned a view tensor")
    for name, module in classifier.named_modules():
        if is_layer(name):
            fully_shard(module, mesh=mesh)
    fully_shard(classifier, mesh=mesh, reshard_after_forward=False)
    register_fsdp_forward_method(classifier, "embed")
