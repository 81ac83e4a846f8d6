"""The classification head as one Triton kernel: pooling, LayerNorm and linear layer in one pass over the tokens.

A program pools one image's block of channels; the last program of an image to arrive finishes that image's logit.
Sums run in a fixed order that depends on the shape of one image alone, and only an integer counts arrivals, so an image
gets the same answer, bit for bit, in any batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from streetvision_kernels.head_checks import check_head, check_tokens
from torch.library import triton_op, wrap_triton

BLOCK_D = 64
"""Channels per program: 128 bytes of bfloat16, and enough programs (16 at D = 1024) for a batch of one."""
BLOCK_T = 32
NUM_WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _head_kernel(  # noqa: PLR0917  # the launcher passes by position
    tokens: tl.tensor,  # [N, T, D], channels contiguous
    norm_weight: tl.tensor,  # [2 * D]
    norm_bias: tl.tensor,  # [2 * D]
    weight: tl.tensor,  # [2 * D]
    bias: tl.tensor,  # [1]
    arrived: tl.tensor,  # int32 [N], zero: programs of an image that are done
    logits: tl.tensor,  # float32 [N]
    pooled: tl.tensor,  # float32 [N, 2 * D], contiguous: CLS, mean
    stride_n: tl.tensor,  # elements from an image to the next
    stride_t: tl.tensor,  # elements from a token to the next
    eps: tl.tensor,  # float32
    scale: tl.tensor,  # float32
    shift: tl.tensor,  # float32
    T: tl.constexpr,  # tokens
    PREFIX: tl.constexpr,  # CLS and registers
    D: tl.constexpr,  # channels
    BLOCK_T: tl.constexpr,  # tokens a step
    BLOCK_D: tl.constexpr,  # channels a program
    BLOCK_ROW: tl.constexpr,  # 2 * D, rounded up to a power of two
    PARTS: tl.constexpr,  # programs an image
) -> None:
    # Parts of an image are neighbours: they read neighbouring memory, and early images finish while later ones load.
    image = (tl.program_id(0) // PARTS).to(tl.int64)
    columns = (tl.program_id(0) % PARTS) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside = columns < D
    source = tokens + image * stride_n
    target = pooled + image * (2 * D)

    cls = tl.load(source + columns, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros([BLOCK_T, BLOCK_D], dtype=tl.float32)
    for start in tl.range(PREFIX, T, BLOCK_T, loop_unroll_factor=4):
        rows = start + tl.arange(0, BLOCK_T)
        mask = (rows < T)[:, None] & inside[None, :]
        total += tl.load(source + rows[:, None] * stride_t + columns[None, :], mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(total, axis=0) / (T - PREFIX)
    tl.store(target + columns, cls, mask=inside)
    tl.store(target + D + columns, mean, mask=inside)

    # Every thread's stores come before the arrival, which releases them; the last to arrive acquires all of them.
    tl.debug_barrier()
    if tl.atomic_add(arrived + image, 1, sem="acq_rel") == PARTS - 1:
        row = tl.arange(0, BLOCK_ROW)
        mask = row < 2 * D
        # .cg reads through the L2 cache, where other multiprocessors' stores are.
        x = tl.load(target + row, mask=mask, other=0.0, cache_modifier=".cg")
        centred = tl.where(mask, x - tl.sum(x, axis=0) / (2 * D), 0.0)
        # Inductor passes scalar arguments as float64, which would widen everything after them.
        rstd = tl.rsqrt(tl.sum(centred * centred, axis=0) / (2 * D) + tl.cast(eps, tl.float32))
        gain = tl.load(norm_weight + row, mask=mask, other=0.0).to(tl.float32)
        offset = tl.load(norm_bias + row, mask=mask, other=0.0).to(tl.float32)
        w = tl.load(weight + row, mask=mask, other=0.0).to(tl.float32)
        raw = tl.sum((centred * rstd * gain + offset) * w, axis=0) + tl.load(bias).to(tl.float32)
        tl.store(logits + image, raw * tl.cast(scale, tl.float32) - tl.cast(shift, tl.float32))


@triton_op("streetvision::fused_head", mutates_args={})
def _fused_head(  # noqa: PLR0917  # an operator's arguments are positional
    tokens: torch.Tensor,
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
    logits = torch.empty(N, dtype=torch.float32, device=tokens.device)
    pooled = torch.empty((N, 2 * D), dtype=torch.float32, device=tokens.device)
    arrived = torch.zeros(N, dtype=torch.int32, device=tokens.device)
    parts = triton.cdiv(D, BLOCK_D)
    wrap_triton(_head_kernel)[(N * parts,)](
        tokens,
        norm_weight,
        norm_bias,
        weight,
        bias,
        arrived,
        logits,
        pooled,
        tokens.stride(0),
        tokens.stride(1),
        eps,
        scale,
        shift,
        T=T,
        PREFIX=prefix,
        D=D,
        BLOCK_T=BLOCK_T,
        BLOCK_D=BLOCK_D,
        BLOCK_ROW=triton.next_power_of_2(2 * D),
        PARTS=parts,
        num_warps=NUM_WARPS,
    )
    return logits, pooled


def fused_head(
    tokens: torch.Tensor,
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
    """Logits [N] and raw pooled embeddings [N, 2D] (CLS, then the mean patch token), both float32.

    logit = (LayerNorm(pooled) . weight + bias) * scale - shift, accumulated in float32; see `head_oracle`.

    `tokens` [N, T, D] are float16, bfloat16 or float32 on CUDA with contiguous channels (other strides are free): CLS,
    `prefix` - 1 registers, patches. `norm_weight`, `norm_bias` and `weight` are contiguous [2D], `bias` is [1]. Works
    inside torch.compile and CUDA graphs; has no backward. Raises ValueError on other shapes or dtypes.
    """
    check_tokens(tokens)
    check_head(tokens.shape[1], prefix, 2 * tokens.shape[2], (norm_weight, norm_bias, weight), bias)
    logits, pooled = _fused_head(tokens, norm_weight, norm_bias, weight, bias, prefix, eps, scale, shift)
    return logits, pooled
