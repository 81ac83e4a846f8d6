"""A SigLIP image tower taken apart: learned positions, no class token, and an attention that pools the patches."""

from __future__ import annotations

from typing import Any

import torch
from streetvision_kernels.patchify import PATCH
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block
from torch import nn

from streetvision.models.siglip import SiglipTower
from streetvision.runner.mlp_weights import unsupported_mlp
from streetvision.runner.parts import HEAD_DIM, BlockParts, NetworkParts, PoolParts, folded

KIND = SiglipTower


def unsupported(backbone: Any) -> str | None:  # noqa: ANN401  # timm's modules carry no types
    """What of it a forward of ours cannot compute, as part of a sentence; None if it can compute it all."""
    if backbone.patch_embed.proj.kernel_size != (PATCH, PATCH):
        return f"its patches do not measure {PATCH} pixels"
    problem = next((problem for block in backbone.blocks if (problem := _unsupported_block(block))), None)
    return problem or _unsupported_pool(backbone.attn_pool)


def take_apart(backbone: Any) -> NetworkParts:  # noqa: ANN401  # timm's modules carry no types
    """The parts of a backbone that is not `unsupported`."""
    embedding, width = backbone.patch_embed.proj, backbone.num_features
    return NetworkParts(
        width=width,
        tokens=backbone.pos_embed.shape[1],
        patches=(embedding.weight.detach(), embedding.bias.detach()),
        prefix=embedding.weight.new_zeros(0, width),
        positions=backbone.pos_embed.detach()[0],
        rotation=None,
        blocks=tuple(_block(block) for block in backbone.blocks),
        norm=backbone.norm,
        pool=_pool(backbone.attn_pool),
    )


def _unsupported_block(block: nn.Module) -> str | None:
    if type(block) is not Block or type(block.attn) is not Attention:
        return "its blocks are not SigLIP's"
    attention: Any = block.attn
    if attention.head_dim != HEAD_DIM:
        return f"its attention has no heads of {HEAD_DIM} channels"
    extras = (attention.q_norm, attention.k_norm, getattr(attention, "norm", nn.Identity()))
    if any(not isinstance(extra, nn.Identity) for extra in extras):
        return "its attention has norms of its own"
    return unsupported_mlp(block.mlp)


def _unsupported_pool(pool: Any) -> str | None:  # noqa: ANN401  # timm's modules carry no types
    if pool.head_dim != HEAD_DIM:
        return f"its pooling has no heads of {HEAD_DIM} channels"
    plain = (
        pool.pos_embed is None
        and pool.latent_len == 1
        and pool.pool == "token"
        and all(isinstance(part, nn.Linear) for part in (pool.q, pool.kv, pool.proj))
        and all(isinstance(extra, nn.Identity) for extra in (pool.q_norm, pool.k_norm))
        and isinstance(pool.norm, nn.LayerNorm)
        and isinstance(pool.mlp, Mlp)
    )
    return unsupported_mlp(pool.mlp) if plain else "its pooling is not one query's attention with an MLP behind it"


def _block(block: Any) -> BlockParts:  # noqa: ANN401  # timm's modules carry no types
    attention = block.attn
    return BlockParts(
        norm1=block.norm1,
        qkv=(attention.qkv.weight, attention.qkv.bias),
        proj=(attention.proj.weight, attention.proj.bias),
        gamma1=getattr(block.ls1, "gamma", None),
        norm2=block.norm2,
        mlp=block.mlp,
        gamma2=getattr(block.ls2, "gamma", None),
    )


def _pool(pool: Any) -> PoolParts:  # noqa: ANN401  # timm's modules carry no types
    (q, q_bias), (kv, kv_bias) = folded(pool.q.weight, pool.q.bias), folded(pool.kv.weight, pool.kv.bias)
    proj, proj_bias = folded(pool.proj.weight, pool.proj.bias)
    keys, values = kv.chunk(2)
    query = q @ pool.latent.detach().double()[0, 0]
    if q_bias is not None:
        query = query + q_bias
    heads = keys.view(pool.num_heads, HEAD_DIM, -1)
    queries = torch.einsum("hc,hcd->hd", query.view(-1, HEAD_DIM), heads) * HEAD_DIM**-0.5
    offset = torch.zeros(len(proj), dtype=proj.dtype, device=proj.device) if proj_bias is None else proj_bias
    if kv_bias is not None:
        offset = offset + proj @ kv_bias[len(values) :]
    return PoolParts(queries, values, (proj, offset), pool.norm, pool.mlp)
