"""Weights, gradients and the optimiser's state divided among devices (FSDP; Zhao et al. 2023), a block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

if TYPE_CHECKING:
    from streetvision.training.module import TrainingModule


def divide(module: TrainingModule, mesh: DeviceMesh) -> None:
    """Divide all that the module calls in a step, in place; a block is whole on a device only while it computes."""
    backbone = module.net.backbone
    for part in (*backbone.blocks, backbone, module.net.head, module.probe, module.distillation):
        if isinstance(part, nn.Module) and not isinstance(part, FSDPModule):
            fully_shard(part, mesh=mesh)
    register_fsdp_forward_method(backbone, "forward_features")
    if hasattr(module.net.head, "scores"):
        register_fsdp_forward_method(module.net.head, "scores")
