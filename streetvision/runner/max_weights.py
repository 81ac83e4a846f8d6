"""A DINOv3 as the graph for MAX takes it: what the graph depends on, and the tensors that it is given afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.models.heads.cls_mean_linear import PooledHead
from streetvision.models.network import StreetVisionNet
from streetvision.runner import dinov3_parts
from streetvision.runner.mlp_weights import is_gated, is_tanh, mlp_weights
from streetvision.runner.parts import BlockParts, folded, folded_patches

Weights = dict[str, torch.Tensor]
"""On the CPU, by the names that the graph asks for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a graph depends on beside its weights: networks of one plan share what MAX has compiled."""

    size: int
    """Side of the input in pixels."""
    tokens: int
    prefix: int
    """CLS and registers, the first of the tokens."""
    width: int
    blocks: int
    gated: bool
    """SwiGLU rather than GELU."""
    tanh: bool
    """GELU is the network's own tanh form."""
    norm_eps: float
    head_eps: float
    attends: bool
    """The head pools attended patches beside CLS and their mean."""


def missing_for_max(net: StreetVisionNet) -> str | None:
    """Why no graph is built for this network, as part of a sentence; None if one is."""
    if not isinstance(net.backbone, dinov3_parts.KIND):
        return "its backbone is no DINOv3"
    if not isinstance(net.head, PooledHead | AttentionHead):
        return "its head does not pool CLS with patches"
    return dinov3_parts.unsupported(net.backbone)


def plan_of(net: StreetVisionNet) -> Plan:
    """The plan of a network that `missing_for_max` lets through; raises ValueError for norms or MLPs that differ."""
    parts = dinov3_parts.take_apart(net.backbone)
    norms = {norm.eps for block in parts.blocks for norm in (block.norm1, block.norm2)} | {parts.norm.eps}
    kinds = {(is_gated(block.mlp), is_tanh(block.mlp)) for block in parts.blocks}
    if len(norms) != 1 or len(kinds) != 1:
        raise ValueError("its blocks differ from each other")
    ((gated, tanh),) = kinds
    return Plan(
        size=net.input_size,
        tokens=parts.tokens,
        prefix=len(parts.prefix),
        width=parts.width,
        blocks=len(parts.blocks),
        gated=gated,
        tanh=tanh,
        norm_eps=norms.pop(),
        head_eps=net.head.norm.eps,
        attends=isinstance(net.head, AttentionHead),
    )


def weights_of(net: StreetVisionNet, dtype: torch.dtype) -> Weights:
    """Products in `dtype`, norms, rotations and head in float32; layer scale, pixels' mean and calibration folded in.

    Every linear layer has a bias, of zeros where the network has none.
    """
    parts = dinov3_parts.take_apart(net.backbone)
    products = _linear("patches", *folded_patches(parts.patches, net.mean, net.std)) | {
        "prefix": parts.prefix[None].double()
    }
    norms = {"norm": parts.norm}
    for index, block in enumerate(parts.blocks):
        products |= _block(block, f"block{index}")
        norms |= {f"block{index}.norm1": block.norm1, f"block{index}.norm2": block.norm2}
    exact = _head(net)
    for name, norm in norms.items():
        exact |= {f"{name}.gain": norm.weight, f"{name}.offset": norm.bias}
    if parts.rotation is not None:
        exact |= dict(zip(("sin", "cos"), parts.rotation, strict=True))
    return {name: _kept(tensor, dtype) for name, tensor in products.items()} | {
        name: _kept(tensor, torch.float32) for name, tensor in exact.items()
    }


def _kept(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def _linear(name: str, weight: torch.Tensor, bias: torch.Tensor | None) -> Weights:
    return {f"{name}.weight": weight, f"{name}.bias": weight.new_zeros(len(weight)) if bias is None else bias}


def _block(block: BlockParts, name: str) -> Weights:
    mlp = mlp_weights(block.mlp)
    return {
        **_linear(f"{name}.qkv", *folded(*block.qkv)),
        **_linear(f"{name}.proj", *folded(*block.proj, block.gamma1)),
        **_linear(f"{name}.fc1", *folded(*mlp.fc1)),
        **_linear(f"{name}.fc2", *folded(*mlp.fc2, block.gamma2)),
    }


def _head(net: StreetVisionNet) -> Weights:
    """Calibration is folded into the last layer."""
    head = net.head
    weights = _linear("fc", head.fc.weight.double() * net.scale, head.fc.bias.double() * net.scale - net.shift)
    weights |= {"head.gain": head.norm.weight, "head.offset": head.norm.bias}
    return weights | ({"score": head.score.weight} if isinstance(head, AttentionHead) else {})
