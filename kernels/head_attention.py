"""The attention-pooling head in one pass over the tokens, and in one with the backbone's last norm in it."""

from __future__ import annotations

from typing import Any

import torch
import triton
from streetvision_kernels.head_attention_program import attention_head_kernel
from streetvision_kernels.head_checks import check_head, check_rows, check_tokens
from torch.library import triton_op, wrap_triton

ROWS = 4
"""Tokens in registers at once."""
SHARE = 16
"""Fewest tokens of a program: small enough that a single image keeps a dozen multiprocessors busy."""
MOST_PARTS = 48
"""Programs of an image: the last one reads what all have left, so many tokens are shared out among no more."""
CHANNELS_A_WARP = 256


@triton_op("streetvision::fused_attention_head", mutates_args={})
def _fused_attention_head(  # noqa: PLR0917  # an operator's arguments are positional
    tokens: torch.Tensor,
    score: torch.Tensor,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    prefix: int,
    eps: float,
    scale: float,
    shift: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    N, T, D = tokens.shape
    sizes = launch_sizes(T, D)
    buffers = _buffers(N, D, sizes["PARTS"], tokens.device)
    arrived = torch.zeros(N, dtype=torch.int32, device=tokens.device)
    wrap_triton(attention_head_kernel)[(N * sizes["PARTS"],)](
        tokens,
        score,  # stands for the norm that is not computed
        score,
        score,
        norm_weight,
        norm_bias,
        weight,
        bias,
        buffers[0],
        buffers[1],
        arrived,
        buffers[2],
        buffers[3],
        tokens.stride(0),
        tokens.stride(1),
        0.0,
        eps,
        scale,
        shift,
        PREFIX=prefix,
        NORM=False,
        PDL=False,
        **sizes,
    )
    return buffers[2], buffers[3]


def fused_attention_head(  # noqa: PLR0917  # as fused_head, and the scores
    tokens: torch.Tensor,
    score: torch.Tensor,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    prefix: int,
    eps: float,
    scale: float = 1.0,
    shift: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N] and raw pooled embeddings [N, 3D] (CLS, mean, attended patch token), float32.

    logit = (LayerNorm(pooled) . weight + bias) * scale - shift, accumulated in float32; see `attention_head_oracle`.

    `tokens` [N, T, D] are float16, bfloat16 or float32 on CUDA with contiguous channels (other strides are free): CLS,
    `prefix` - 1 registers, patches. `score` is [D]; `norm_weight`, `norm_bias` and `weight` are [3D], `bias` is [1],
    all contiguous. Works inside torch.compile and CUDA graphs; has no backward. Raises ValueError on other shapes or
    dtypes.
    """
    check_tokens(tokens)
    _check(tokens.shape[1], tokens.shape[2], score, (norm_weight, norm_bias, weight), bias, prefix)
    vectors = (score, norm_weight, norm_bias, weight, bias)
    logits, pooled = _fused_attention_head(tokens, *vectors, prefix, eps, scale, shift)
    return logits, pooled


def norm_attention_head(  # noqa: PLR0917  # as norm_head, and the scores
    tokens: torch.Tensor,
    token_norm: tuple[torch.Tensor, torch.Tensor],
    score: torch.Tensor,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    arrived: torch.Tensor,
    *,
    images: int,
    prefix: int,
    token_eps: float,
    eps: float,
    scale: float = 1.0,
    shift: float = 0.0,
    pdl: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`fused_attention_head` of LayerNorm(tokens), for contiguous tokens [N * T, D] that are not normalised yet.

    `token_norm` holds gain and offset [D] of the backbone's last norm; `arrived` is int32 [>= N], zero before and
    after. See `norm_attention_head_oracle`. Raises ValueError on other shapes.
    """
    rows, width = tokens.shape
    check_rows(tokens, arrived, images)
    _check(rows // images, width, score, (norm_weight, norm_bias, weight), bias, prefix)
    sizes = launch_sizes(rows // images, width)
    partial, stats, logits, pooled = _buffers(images, width, sizes["PARTS"], tokens.device)
    attention_head_kernel[(images * sizes["PARTS"],)](
        tokens,
        *token_norm,
        score,
        norm_weight,
        norm_bias,
        weight,
        bias,
        partial,
        stats,
        arrived,
        logits,
        pooled,
        rows // images * width,
        width,
        token_eps,
        eps,
        scale,
        shift,
        PREFIX=prefix,
        NORM=True,
        PDL=pdl,
        **sizes,
        **({"launch_pdl": True} if pdl else {}),
    )
    return logits, pooled


def launch_sizes(tokens: int, width: int) -> dict[str, Any]:
    """How an image of so many tokens is shared out; a function of its shape alone, so that batches change no bit."""
    block = triton.next_power_of_2(width)
    share = max(SHARE, triton.cdiv(triton.cdiv(tokens, MOST_PARTS), ROWS) * ROWS)
    parts = triton.cdiv(tokens, share)
    return {
        "T": tokens,
        "D": width,
        "BLOCK_D": block,
        "ROWS": ROWS,
        "SHARE": share,
        "PARTS": parts,
        "BLOCK_PARTS": triton.next_power_of_2(parts),
        "num_warps": max(4, block // CHANNELS_A_WARP),
    }


def _buffers(images: int, width: int, parts: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Partial sums, their softmax statistics, logits and pooled embeddings, all float32."""
    shapes = ((images * parts, 2 * width), (images * parts, 2), (images,), (images, 3 * width))
    return tuple(torch.empty(shape, dtype=torch.float32, device=device) for shape in shapes)


def _check(  # noqa: PLR0917  # the sizes, and what must fit them
    tokens: int, width: int, score: torch.Tensor, vectors: tuple[torch.Tensor, ...], bias: torch.Tensor, prefix: int
) -> None:
    check_head(tokens, prefix, 3 * width, vectors, bias)
    if score.shape != (width,) or not score.is_contiguous():
        raise ValueError(f"score must be contiguous [{width}], not {tuple(score.shape)}")
