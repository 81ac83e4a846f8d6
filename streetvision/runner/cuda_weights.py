"""A timm DINOv3 taken apart for the fast forward: what can be folded is folded, in float64, and rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from streetvision_kernels.cublaslt import Scales
from streetvision_kernels.float8 import LARGEST, float8_oracle
from streetvision_kernels.patchify import PATCH, columns_for
from streetvision_kernels.patchify_oracle import patch_matrix
from timm.layers.mlp import Mlp
from timm.layers.norm import LayerNorm
from timm.models.eva import Eva, EvaAttention, EvaBlock
from torch import nn

from streetvision.models.dinov3 import StreetVisionNet
from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.models.heads.cls_mean_linear import PooledHead

HEAD_DIM = 64
MARGIN = 2.0
"""Room above the largest activation seen: a float keeps its precision, so room costs only the faintest values."""

Peaks = Mapping[str, float]
"""Largest magnitude seen of what enters each product that float8 would serve, by `layer.product`."""


@dataclass(frozen=True)
class Product:
    """One linear layer: matrix [N, K] and bias [N], both in bfloat16 or the matrix in float8 with its scales."""

    matrix: torch.Tensor
    bias: torch.Tensor | None
    scales: Scales | None = None
    inverse8: float = 1.0
    """What its input is multiplied by when it is rounded to float8."""


@dataclass(frozen=True)
class Norm:
    """Gain and offset [D] in float32, and epsilon."""

    gain: torch.Tensor
    offset: torch.Tensor
    eps: float


@dataclass(frozen=True)
class Block:
    """A transformer block; layer scale is folded into `proj` and `fc2`."""

    norm1: Norm
    qkv: Product
    proj: Product
    norm2: Norm
    fc1: Product
    fc2: Product


@dataclass(frozen=True)
class FastWeights:
    """Everything that the fast forward multiplies by, on the device."""

    patches: torch.Tensor
    """[D, columns]: pixels, bias and prefix tokens; see `patchify`."""
    cos: torch.Tensor
    sin: torch.Tensor
    """[T, 32] float16; 1 and 0 for prefix tokens, which are not turned."""
    blocks: tuple[Block, ...]
    norm: Norm
    width: int
    prefix: int
    float8: bool


def unsupported(net: StreetVisionNet) -> str | None:
    """What of this network the fast forward cannot compute, as part of a sentence; None if it can compute it all."""
    backbone: Any = net.backbone
    if not isinstance(backbone, Eva) or not isinstance(net.head, PooledHead | AttentionHead):
        return "it is not a DINOv3 with a head on CLS and pooled patches"
    if backbone.pos_embed is not None or not isinstance(backbone.norm_pre, nn.Identity):
        return "its tokens are not embedded as DINOv3's are"
    if not isinstance(backbone.norm, LayerNorm) or backbone.patch_embed.proj.kernel_size != (PATCH, PATCH):
        return "its patches or its last norm are not DINOv3's"
    table = getattr(backbone.rope, "pos_embed_cached", None)
    if table is None or table.shape[-1] != 2 * HEAD_DIM or not torch.equal(*_halves(table)):
        return f"its positions are not those of DINOv3 heads of {HEAD_DIM} channels"
    return next((problem for block in backbone.blocks if (problem := _unsupported_block(block))), None)


def pack(net: StreetVisionNet, device: torch.device, peaks: Peaks | None = None) -> FastWeights:
    """Take the network apart for `device`: in bfloat16, or in float8 where `peaks` say how large activations get.

    Raises ValueError for a network that is `unsupported`. The network itself is not changed.
    """
    problem = unsupported(net)
    if problem is not None:
        raise ValueError(f"the fast forward cannot run this network: {problem}")
    backbone: Any = net.backbone
    columns = columns_for(backbone.num_prefix_tokens)
    prefix = prefix_tokens(backbone)
    weight, bias = (p.detach().cpu() for p in (backbone.patch_embed.proj.weight, backbone.patch_embed.proj.bias))
    mean, std = net.mean.cpu(), net.std.cpu()
    patches = patch_matrix(weight, bias, prefix.cpu(), mean, std, columns=columns, dtype=torch.bfloat16)
    sin, cos = (part.to(device) for part in _rope(backbone))
    return FastWeights(
        patches=patches.to(device),
        cos=cos,
        sin=sin,
        blocks=tuple(_block(block, device, i, peaks) for i, block in enumerate(backbone.blocks)),
        norm=_norm(backbone.norm, device),
        width=backbone.num_features,
        prefix=backbone.num_prefix_tokens,
        float8=peaks is not None,
    )


def prefix_tokens(backbone: Any) -> torch.Tensor:  # noqa: ANN401  # timm's modules carry no types
    """CLS and registers [P, D]."""
    return torch.cat([t.detach()[0] for t in (backbone.cls_token, backbone.reg_token) if t is not None])


def qkv_bias(attention: Any) -> torch.Tensor | None:  # noqa: ANN401  # timm's modules carry no types
    """The bias of queries, keys and values [3 D]; None where there is none."""
    if attention.q_bias is None:
        return None
    return torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))


def folded(
    weight: torch.Tensor, bias: torch.Tensor | None, gamma: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight [N, K] and bias [N] in float64, with the layer scale `gamma` [N] in them."""
    matrix = weight.detach().double()
    offset = None if bias is None else bias.detach().double()
    if gamma is None:
        return matrix, offset
    factor = gamma.detach().double()
    return matrix * factor[:, None], None if offset is None else offset * factor


def _unsupported_block(block: nn.Module) -> str | None:
    if not isinstance(block, EvaBlock) or not isinstance(block.attn, EvaAttention):
        return "its blocks are not DINOv3's"
    attention: Any = block.attn
    mlp: Any = block.mlp
    if attention.qkv is None or attention.head_dim != HEAD_DIM or not attention.rotate_half:
        return f"its attention has no heads of {HEAD_DIM} channels"
    extras = (attention.q_norm, attention.k_norm, attention.norm)
    if any(not isinstance(extra, nn.Identity) for extra in extras) or getattr(attention, "gate", None) is not None:
        return "its attention has norms or gates of its own"
    if not isinstance(mlp, Mlp) or not isinstance(mlp.norm, nn.Identity) or not isinstance(mlp.fc1, nn.Linear):
        return "its MLP is not two linear layers"
    if not isinstance(mlp.act, nn.GELU):
        return "its activation is not GELU"
    return None


def _block(block: Any, device: torch.device, index: int, peaks: Peaks | None) -> Block:  # noqa: ANN401  # timm's modules carry no types
    attention, mlp = block.attn, block.mlp

    def peak(name: str) -> float | None:
        return None if peaks is None else peaks[f"{index}.{name}"]

    follows = None if peaks is None else peaks[f"{index}.fc2"]
    return Block(
        norm1=_norm(block.norm1, device),
        qkv=_product(attention.qkv.weight, qkv_bias(attention), None, device, peak("qkv")),
        proj=_product(attention.proj.weight, attention.proj.bias, block.gamma_1, device, peak("proj")),
        norm2=_norm(block.norm2, device),
        fc1=_product(mlp.fc1.weight, mlp.fc1.bias, None, device, peak("fc1"), follows),
        fc2=_product(mlp.fc2.weight, mlp.fc2.bias, block.gamma_2, device, peak("fc2")),
    )


def _product(  # noqa: PLR0917  # a layer's parts, in order
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    gamma: torch.Tensor | None,
    device: torch.device,
    peak: float | None,
    follows: float | None = None,
) -> Product:
    """Layer scale `gamma` is folded in. `peak` asks for float8; `follows` is the peak of a float8 answer."""
    matrix, offset = folded(
        weight.to(device), None if bias is None else bias.to(device), None if gamma is None else gamma.to(device)
    )
    short = None if offset is None else offset.bfloat16()
    if peak is None:
        return Product(matrix.bfloat16().contiguous(), short)
    inverse = inverse_scale(peak)
    size = max(float(matrix.abs().max()), 1e-30)
    scales = Scales(
        a=torch.tensor(1.0 / inverse, device=device),
        weight=torch.tensor(size / LARGEST, device=device),
        inverse_out=None if follows is None else torch.tensor(inverse_scale(follows), device=device),
    )
    return Product(float8_oracle(matrix.float(), LARGEST / size).contiguous(), short, scales, inverse)


def inverse_scale(peak: float) -> float:
    """What activations of that largest magnitude are multiplied by before they are rounded to float8."""
    return float(LARGEST / (MARGIN * max(peak, 1e-6)))


def _norm(norm: nn.LayerNorm, device: torch.device) -> Norm:
    gain, offset = (p.detach().to(device=device, dtype=torch.float32).contiguous() for p in (norm.weight, norm.bias))
    return Norm(gain, offset, norm.eps)


def _rope(backbone: Eva) -> tuple[torch.Tensor, torch.Tensor]:
    """Sine and cosine [T, 32] for every token."""
    rope: Any = backbone.rope
    table = rope.pos_embed_cached.detach().float().cpu()
    sin, cos = (part[:, : HEAD_DIM // 2] for part in table.chunk(2, dim=-1))
    still = torch.zeros(backbone.num_prefix_tokens, HEAD_DIM // 2)
    return torch.cat((still, sin)).half().contiguous(), torch.cat((still + 1.0, cos)).half().contiguous()


def _halves(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second half of the channels, of sine and cosine: alike where channel i turns with channel i + 32."""
    parts = table.reshape(-1, 2, 2, HEAD_DIM // 2)
    return parts[:, :, 0], parts[:, :, 1]
