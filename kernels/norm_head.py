"""The backbone's last norm and the classification head in one pass over the residual stream.

A program normalises a few tokens of one image, whole rows of them, and adds them up; the last of an image to arrive
adds the parts in order and finishes the logit. Normalised tokens exist nowhere in memory. Sums run in an order that
depends on one image's shape alone: an image gets the same answer, bit for bit, in any batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from streetvision_kernels.head_checks import check_head, check_rows
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

ROWS = 4
"""Tokens in registers at once."""
SHARE = 16
"""Tokens of a program: small enough that a single image keeps a dozen multiprocessors busy."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _norm_head_kernel(  # noqa: PLR0917  # the launcher passes by position
    tokens: tl.tensor,  # [N * T, D], contiguous, before the last norm
    token_gain: tl.tensor,  # [D]
    token_offset: tl.tensor,  # [D]
    norm_weight: tl.tensor,  # [2 * D]
    norm_bias: tl.tensor,  # [2 * D]
    weight: tl.tensor,  # [2 * D]
    bias: tl.tensor,  # [1]
    partial: tl.tensor,  # float32 [N * PARTS, D]: sums of normed patches
    arrived: tl.tensor,  # int32 [>= N], zero before and after
    logits: tl.tensor,  # float32 [N]
    pooled: tl.tensor,  # float32 [N, 2 * D], contiguous: CLS, mean
    token_eps: tl.tensor,  # float32
    eps: tl.tensor,  # float32
    scale: tl.tensor,  # float32
    shift: tl.tensor,  # float32
    T: tl.constexpr,  # tokens
    PREFIX: tl.constexpr,  # CLS and registers
    D: tl.constexpr,  # channels
    BLOCK_D: tl.constexpr,  # D, rounded up to a power of two
    ROWS: tl.constexpr,  # tokens a step
    SHARE: tl.constexpr,  # tokens a program
    PARTS: tl.constexpr,  # programs an image
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    image = tl.program_id(0) // PARTS
    part = tl.program_id(0) % PARTS
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    source = tokens + image.to(tl.int64) * (T * D)
    target = partial + (image * PARTS + part) * D
    total = tl.zeros([ROWS, BLOCK_D], dtype=tl.float32)
    for start in range(0, SHARE, ROWS):
        rows = part * SHARE + start + tl.arange(0, ROWS)
        mask = (rows < T)[:, None] & inside[None, :]
        x = tl.load(source + rows[:, None] * D + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        apart = tl.where(mask, x - (tl.sum(x, axis=1) / D)[:, None], 0.0)
        normed = apart * tl.rsqrt(tl.sum(apart * apart, axis=1) / D + token_eps)[:, None]
        if (part == 0) & (start == 0):
            cls = tl.sum(tl.where((rows == 0)[:, None], normed, 0.0), axis=0)
            tl.store(pooled + image * (2 * D) + columns, cls, mask=inside)
        total += tl.where((rows >= PREFIX)[:, None], normed, 0.0)
    tl.store(target + columns, tl.sum(total, axis=0), mask=inside)

    # Every thread's stores come before the arrival, which releases them; the last to arrive acquires all of them.
    tl.debug_barrier()
    if tl.atomic_add(arrived + image, 1, sem="acq_rel") == PARTS - 1:
        gain = tl.load(token_gain + columns, mask=inside, other=0.0).to(tl.float32)
        offset = tl.load(token_offset + columns, mask=inside, other=0.0).to(tl.float32)
        # .cg reads through the L2 cache, where other multiprocessors' stores are.
        cls = tl.load(pooled + image * (2 * D) + columns, mask=inside, other=0.0, cache_modifier=".cg")
        mean = tl.zeros([BLOCK_D], dtype=tl.float32)
        for other in range(PARTS):
            at = partial + (image * PARTS + other) * D + columns
            mean += tl.load(at, mask=inside, other=0.0, cache_modifier=".cg")
        cls = cls * gain + offset
        mean = mean / (T - PREFIX) * gain + offset
        tl.store(pooled + image * (2 * D) + columns, cls, mask=inside)
        tl.store(pooled + image * (2 * D) + D + columns, mean, mask=inside)
        centre = (tl.sum(cls, axis=0) + tl.sum(mean, axis=0)) / (2 * D)
        cls = tl.where(inside, cls - centre, 0.0)
        mean = tl.where(inside, mean - centre, 0.0)
        rstd = tl.rsqrt((tl.sum(cls * cls, axis=0) + tl.sum(mean * mean, axis=0)) / (2 * D) + eps)
        w1 = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
        w2 = tl.load(weight + D + columns, mask=inside, other=0.0).to(tl.float32)
        g1 = tl.load(norm_weight + columns, mask=inside, other=0.0).to(tl.float32)
        g2 = tl.load(norm_weight + D + columns, mask=inside, other=0.0).to(tl.float32)
        b1 = tl.load(norm_bias + columns, mask=inside, other=0.0).to(tl.float32)
        b2 = tl.load(norm_bias + D + columns, mask=inside, other=0.0).to(tl.float32)
        score = tl.sum((cls * rstd * g1 + b1) * w1 + (mean * rstd * g2 + b2) * w2, axis=0)
        raw = score + tl.load(bias).to(tl.float32)
        tl.store(logits + image, raw * scale - shift)
        tl.store(arrived + image, 0)


def norm_head(  # noqa: PLR0917  # as fused_head
    tokens: torch.Tensor,
    token_norm: tuple[torch.Tensor, torch.Tensor],
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
    """Logits [N] and raw pooled embeddings [N, 2D] of the normalised tokens, both float32.

    `tokens` [N * T, D] are contiguous, not yet normalised; `token_norm` holds gain and offset [D] of the backbone's
    last norm; the rest is as in `head.fused_head`. `arrived` is int32 [>= N], zero before and after. See
    `norm_head_oracle`. Raises ValueError on other shapes.
    """
    rows, width = tokens.shape
    check_rows(tokens, arrived, images)
    check_head(rows // images, prefix, 2 * width, (norm_weight, norm_bias, weight), bias)
    parts = triton.cdiv(rows // images, SHARE)
    logits = torch.empty(images, dtype=torch.float32, device=tokens.device)
    pooled = torch.empty((images, 2 * width), dtype=torch.float32, device=tokens.device)
    partial = torch.empty((images * parts, width), dtype=torch.float32, device=tokens.device)
    _norm_head_kernel[(images * parts,)](
        tokens,
        *token_norm,
        norm_weight,
        norm_bias,
        weight,
        bias,
        partial,
        arrived,
        logits,
        pooled,
        token_eps,
        eps,
        scale,
        shift,
        T=rows // images,
        PREFIX=prefix,
        D=width,
        BLOCK_D=triton.next_power_of_2(width),
        ROWS=ROWS,
        SHARE=SHARE,
        PARTS=parts,
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )
    return logits, pooled
