"""A network packed for the fast forward: what can be folded is folded, in float64, and rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from streetvision_kernels.cublaslt import Scales
from streetvision_kernels.float8 import LARGEST, float8_oracle
from streetvision_kernels.patchify import columns_for
from streetvision_kernels.patchify_oracle import patch_matrix
from torch import nn

from streetvision.models.heads.cls_cosine import CosineHead
from streetvision.models.heads.cls_linear import ClassHead
from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.models.heads.cls_mean_linear import PooledHead
from streetvision.models.network import StreetVisionNet
from streetvision.models.siglip import SiglipTower
from streetvision.runner.mlp_weights import is_gated, mlp_weights
from streetvision.runner.network_parts import parts_of, unsupported_backbone
from streetvision.runner.parts import BlockParts, PoolParts, folded

TOKEN_HEADS = (PooledHead, AttentionHead)
"""Heads on CLS and pooled patches: a kernel of each reads tokens before the last norm."""
VECTOR_HEADS = (ClassHead, CosineHead)
"""Heads on the vector that an attention has pooled."""
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
    gated: bool
    """`fc1` gives gates and values of SwiGLU, rather than what enters GELU."""


@dataclass(frozen=True)
class Pool:
    """Attention pooling, as `latent_pool` and the products behind it take it."""

    queries: torch.Tensor
    """[H, D] float32, with the gain of the norm before."""
    values: torch.Tensor
    """[D, D] bfloat16."""
    proj: Product
    norm: Norm
    fc1: Product
    fc2: Product


@dataclass(frozen=True)
class FastWeights:
    """Everything that the fast forward multiplies by, on the device."""

    patches: torch.Tensor
    """[D, columns]: pixels, bias and prefix tokens; see `patchify`."""
    positions: torch.Tensor | None
    """[T, D] bfloat16, added to the embedded tokens; None where positions are rotations."""
    cos: torch.Tensor | None
    sin: torch.Tensor | None
    """[T, 32] float16; 1 and 0 for prefix tokens, which are not turned. None where nothing is."""
    blocks: tuple[Block, ...]
    norm: Norm
    pool: Pool | None
    tokens: int
    width: int
    prefix: int
    float8: bool


def unsupported(net: StreetVisionNet) -> str | None:
    """What of this network the fast forward cannot compute, as part of a sentence; None if it can compute it all."""
    problem = unsupported_backbone(net)
    if problem is not None:
        return problem
    if isinstance(net.backbone, SiglipTower):
        return None if type(net.head) in VECTOR_HEADS else "its head is not one on the pooled vector alone"
    return None if type(net.head) in TOKEN_HEADS else "it has no head on CLS and pooled patches"


def pack(net: StreetVisionNet, device: torch.device, peaks: Peaks | None = None) -> FastWeights:
    """Take the network apart for `device`: in bfloat16, or in float8 where `peaks` say how large activations get.

    Raises ValueError for a network that is `unsupported`. The network itself is not changed.
    """
    problem = unsupported(net)
    if problem is not None:
        raise ValueError(f"the fast forward cannot run this network: {problem}")
    parts = parts_of(net)
    prefix = len(parts.prefix)
    weight, bias = (part.cpu() for part in parts.patches)
    patches = patch_matrix(
        weight,
        bias,
        parts.prefix.cpu(),
        net.mean.cpu(),
        net.std.cpu(),
        columns=columns_for(prefix),
        dtype=torch.bfloat16,
    )
    sin, cos = (None, None) if parts.rotation is None else (t.half().to(device).contiguous() for t in parts.rotation)
    positions = (
        None if parts.positions is None else parts.positions.to(device=device, dtype=torch.bfloat16).contiguous()
    )
    return FastWeights(
        patches=patches.to(device),
        positions=positions,
        cos=cos,
        sin=sin,
        blocks=tuple(_block(block, device, i, peaks) for i, block in enumerate(parts.blocks)),
        norm=_norm(parts.norm, device),
        pool=None if parts.pool is None else _pool(parts.pool, parts.norm, device),
        tokens=parts.tokens,
        width=parts.width,
        prefix=prefix,
        float8=peaks is not None,
    )


def _block(block: BlockParts, device: torch.device, index: int, peaks: Peaks | None) -> Block:
    mlp, gated = mlp_weights(block.mlp), is_gated(block.mlp)

    def peak(name: str) -> float | None:
        return None if peaks is None else peaks[f"{index}.{name}"]

    # GELU is in the product's epilogue, which then rounds for the next one; SwiGLU rounds by itself.
    follows = None if peaks is None or gated else peaks[f"{index}.fc2"]
    return Block(
        norm1=_norm(block.norm1, device),
        qkv=_product(*block.qkv, None, device, peak("qkv")),
        proj=_product(*block.proj, block.gamma1, device, peak("proj")),
        norm2=_norm(block.norm2, device),
        fc1=_product(*mlp.fc1, None, device, peak("fc1"), follows),
        fc2=_product(*mlp.fc2, block.gamma2, device, peak("fc2")),
        gated=gated,
    )


def _pool(pool: PoolParts, norm: nn.LayerNorm, device: torch.device) -> Pool:
    """Always in bfloat16: it is a hundredth of the work."""
    mlp = mlp_weights(pool.mlp)
    queries = pool.queries * norm.weight.detach().double()
    return Pool(
        queries=queries.float().to(device).contiguous(),
        values=pool.values.bfloat16().to(device).contiguous(),
        proj=_product(*pool.proj, None, device, None),
        norm=_norm(pool.norm, device),
        fc1=_product(*mlp.fc1, None, device, None),
        fc2=_product(*mlp.fc2, None, device, None),
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
