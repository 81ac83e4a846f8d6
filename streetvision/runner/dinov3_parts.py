"""A timm DINOv3 taken apart: rotary positions, CLS and registers, perhaps layer scale and SwiGLU."""

from __future__ import annotations

from typing import Any

import torch
from streetvision_kernels.patchify import PATCH
from timm.layers.norm import LayerNorm
from timm.models.eva import Eva, EvaAttention, EvaBlock
from torch import nn

from streetvision.runner.mlp_weights import unsupported_mlp
from streetvision.runner.parts import HEAD_DIM, BlockParts, NetworkParts

KIND = Eva


def unsupported(backbone: Any) -> str | None:  # noqa: ANN401  # timm's modules carry no types
    """What of it a forward of ours cannot compute, as part of a sentence; None if it can compute it all."""
    if backbone.pos_embed is not None or not isinstance(backbone.norm_pre, nn.Identity):
        return "its tokens are not embedded as DINOv3's are"
    if not isinstance(backbone.norm, LayerNorm) or backbone.patch_embed.proj.kernel_size != (PATCH, PATCH):
        return "its patches or its last norm are not DINOv3's"
    table = getattr(backbone.rope, "pos_embed_cached", None)
    if table is None or table.shape[-1] != 2 * HEAD_DIM or not torch.equal(*_halves(table)):
        return f"its positions are not those of DINOv3 heads of {HEAD_DIM} channels"
    return next((problem for block in backbone.blocks if (problem := _unsupported_block(block))), None)


def take_apart(backbone: Any) -> NetworkParts:  # noqa: ANN401  # timm's modules carry no types
    """The parts of a backbone that is not `unsupported`."""
    embedding, rotation = backbone.patch_embed.proj, _rotation(backbone)
    prefix = [token.detach()[0] for token in (backbone.cls_token, backbone.reg_token) if token is not None]
    return NetworkParts(
        width=backbone.num_features,
        tokens=len(rotation[0]),
        patches=(embedding.weight.detach(), embedding.bias.detach()),
        prefix=torch.cat(prefix),
        positions=None,
        rotation=rotation,
        blocks=tuple(_block(block) for block in backbone.blocks),
        norm=backbone.norm,
        pool=None,
    )


def _unsupported_block(block: nn.Module) -> str | None:
    if not isinstance(block, EvaBlock) or not isinstance(block.attn, EvaAttention):
        return "its blocks are not DINOv3's"
    attention: Any = block.attn
    if attention.qkv is None or attention.head_dim != HEAD_DIM or not attention.rotate_half:
        return f"its attention has no heads of {HEAD_DIM} channels"
    extras = (attention.q_norm, attention.k_norm, attention.norm)
    if any(not isinstance(extra, nn.Identity) for extra in extras) or getattr(attention, "gate", None) is not None:
        return "its attention has norms or gates of its own"
    return unsupported_mlp(block.mlp)


def _block(block: Any) -> BlockParts:  # noqa: ANN401  # timm's modules carry no types
    attention = block.attn
    return BlockParts(
        norm1=block.norm1,
        qkv=(attention.qkv.weight, _qkv_bias(attention)),
        proj=(attention.proj.weight, attention.proj.bias),
        gamma1=block.gamma_1,
        norm2=block.norm2,
        mlp=block.mlp,
        gamma2=block.gamma_2,
    )


def _qkv_bias(attention: Any) -> torch.Tensor | None:  # noqa: ANN401  # timm's modules carry no types
    """The bias of queries, keys and values [3 D]; None where there is none."""
    if attention.q_bias is None:
        return None
    return torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))


def _rotation(backbone: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401  # timm's modules carry no types
    """Sine and cosine [T, 32] for every token."""
    table = backbone.rope.pos_embed_cached.detach().float().cpu()
    sin, cos = (part[:, : HEAD_DIM // 2] for part in table.chunk(2, dim=-1))
    still = torch.zeros(backbone.num_prefix_tokens, HEAD_DIM // 2)
    return torch.cat((still, sin)), torch.cat((still + 1.0, cos))


def _halves(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second half of the channels, of sine and cosine: alike where channel i turns with channel i + 32."""
    parts = table.reshape(-1, 2, 2, HEAD_DIM // 2)
    return parts[:, :, 0], parts[:, :, 1]
