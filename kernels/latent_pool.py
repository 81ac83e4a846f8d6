"""Attention pooling by one learned query: an image's tokens become one vector a head, weighed by a softmax over them.

The query is a constant, so a token's score in a head is its product with one vector, and the values are taken of what a
head has pooled: none of the two products over all tokens that the layer is written with is left (`latent_pool_oracle`).
Two programs read the tokens: one normalises rows in registers and scores them, the other adds them up for some
channels. Normalised tokens exist nowhere in memory: means and deviations are kept instead. A third takes the values.
No sum depends on the other images of a batch.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from streetvision_kernels.multiprocessors import available
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

HEAD = 64
"""Channels of a head's value."""
ROWS = 2
"""Tokens that a program scores at once: one warp holds whole rows, so that no sum crosses warps."""
PROGRAMS = 16
"""Of a multiprocessor that score, as in `layer_norm.py`."""
LEAST = 16
"""Fewest rows that tensor cores multiply."""
BLOCK = 64
"""Images whose values a program takes, and what the answer's rows are a multiple of: the products behind it are then of
few shapes, none so small that cuBLASLt would add up a row in another order."""
LOWEST = tl.constexpr(-1e30)
"""Below every score; finite, since infinity less infinity is no number."""


@triton.jit(do_not_specialize=["rows"])  # type: ignore[untyped-decorator]  # triton carries no types
def _score_kernel(  # noqa: PLR0917  # the launcher passes by position
    tokens: tl.tensor,  # [N * T, D], contiguous, before the last norm
    queries: tl.tensor,  # float32 [HEADS, D], with the norm's gain
    scores: tl.tensor,  # float32 [N, HEADS, T]
    moments: tl.tensor,  # float32 [N * T, 2]: mean, 1 / deviation
    rows: tl.tensor,  # int32: N * T
    eps: tl.tensor,  # float32
    T: tl.constexpr,  # tokens of an image
    D: tl.constexpr,  # channels
    HEADS: tl.constexpr,
    BLOCK_D: tl.constexpr,  # D, rounded up to a power of two
    ROWS: tl.constexpr,  # a step
    UNROLL: tl.constexpr,  # heads whose queries are read ahead
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    for start in range(tl.program_id(0).to(tl.int64) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        x = tl.load(tokens + row[:, None] * D + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        mean = tl.sum(x, axis=1) / D
        apart = tl.where(mask, x - mean[:, None], 0.0)
        rstd = tl.rsqrt(tl.sum(apart * apart, axis=1) / D + eps)
        normed = apart * rstd[:, None]
        tl.store(moments + row * 2, mean, mask=row < rows)
        tl.store(moments + row * 2 + 1, rstd, mask=row < rows)
        place = scores + row // T * (HEADS * T) + row % T
        for head in tl.range(0, HEADS, loop_unroll_factor=UNROLL):
            query = tl.load(queries + head * D + columns, mask=inside, other=0.0)
            tl.store(place + head * T, tl.sum(normed * query[None, :], axis=1), mask=row < rows)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _pool_kernel(  # noqa: PLR0917  # the launcher passes by position
    tokens: tl.tensor,  # [N * T, D], contiguous, before the last norm
    scores: tl.tensor,  # float32 [N, HEADS, T]
    moments: tl.tensor,  # float32 [N * T, 2]: mean, 1 / deviation
    gain: tl.tensor,  # [D], of the last norm
    offset: tl.tensor,  # [D]
    pooled: tl.tensor,  # [N, HEADS * D], contiguous
    T: tl.constexpr,  # tokens of an image
    D: tl.constexpr,  # channels
    HEADS: tl.constexpr,
    BLOCK_H: tl.constexpr,  # HEADS, rounded up to a power of two, 16 at least
    BLOCK_T: tl.constexpr,  # tokens a step
    BLOCK_C: tl.constexpr,  # channels a program; divides D
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    image = (tl.program_id(0) // (D // BLOCK_C)).to(tl.int64)
    columns = tl.program_id(0) % (D // BLOCK_C) * BLOCK_C + tl.arange(0, BLOCK_C)
    heads = tl.arange(0, BLOCK_H)
    known = heads < HEADS
    largest = tl.full([BLOCK_H], LOWEST, dtype=tl.float32)
    total = tl.zeros([BLOCK_H], dtype=tl.float32)
    centre = tl.zeros([BLOCK_H], dtype=tl.float32)
    acc = tl.zeros([BLOCK_H, BLOCK_C], dtype=tl.float32)
    for start in range(0, T, BLOCK_T):
        token = start + tl.arange(0, BLOCK_T)
        there = token < T
        at = scores + image * (HEADS * T) + heads[:, None] * T + token[None, :]
        score = tl.load(at, mask=known[:, None] & there[None, :], other=LOWEST)
        row = image * T + token
        mean = tl.load(moments + row * 2, mask=there, other=0.0)
        rstd = tl.load(moments + row * 2 + 1, mask=there, other=0.0)
        x = tl.load(tokens + row[:, None] * D + columns[None, :], mask=there[:, None], other=0.0)
        top = tl.maximum(largest, tl.max(score, axis=1))
        weight = tl.exp(score - top[:, None])
        shrink = tl.exp(largest - top)
        # What is taken off for the mean is weighed by the shares as they are rounded for the product.
        share = (weight * rstd[None, :]).to(x.dtype)
        acc = tl.dot(share, x, acc * shrink[:, None])
        centre = centre * shrink + tl.sum(share.to(tl.float32) * mean[None, :], axis=1)
        total = total * shrink + tl.sum(weight, axis=1)
        largest = top
    g = tl.load(gain + columns).to(tl.float32)
    b = tl.load(offset + columns).to(tl.float32)
    answer = (acc - centre[:, None]) / total[:, None] * g[None, :] + b[None, :]
    at = pooled + image * (HEADS * D) + heads[:, None] * D + columns[None, :]
    tl.store(at, answer.to(pooled.dtype.element_ty), mask=known[:, None])


@triton.jit(do_not_specialize=["images"])  # type: ignore[untyped-decorator]  # triton carries no types
def _value_kernel(  # noqa: PLR0917  # the launcher passes by position
    pooled: tl.tensor,  # [N, HEADS * D], contiguous
    values: tl.tensor,  # [HEADS * 64, D], contiguous
    out: tl.tensor,  # [M, HEADS * 64], contiguous; M >= N a multiple of BLOCK_N, rows beyond N become 0
    images: tl.tensor,  # int32: N
    D: tl.constexpr,  # channels of a token
    HEADS: tl.constexpr,
    BLOCK_N: tl.constexpr,  # images a program
    BLOCK_K: tl.constexpr,  # channels a step; divides D
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    head = tl.program_id(0) % HEADS
    image = (tl.program_id(0) // HEADS).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    channel = head * 64 + tl.arange(0, 64)
    acc = tl.zeros([BLOCK_N, 64], dtype=tl.float32)
    for start in range(0, D, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        at = pooled + image[:, None] * (HEADS * D) + head * D + columns[None, :]
        x = tl.load(at, mask=(image < images)[:, None], other=0.0)
        w = tl.load(values + channel[:, None] * D + columns[None, :])
        acc = tl.dot(x, w.T, acc)
    tl.store(out + image[:, None] * (HEADS * 64) + channel[None, :], acc.to(out.dtype.element_ty))


def latent_pool(
    tokens: torch.Tensor,
    norm: tuple[torch.Tensor, torch.Tensor],
    queries: torch.Tensor,
    values: torch.Tensor,
    *,
    images: int,
    eps: float,
    pdl: bool = False,
) -> torch.Tensor:
    """What each head has pooled of LayerNorm(tokens), times its values: [M, D], in the dtype of `tokens`.

    M is N rounded up to a multiple of 64; rows beyond N are 0.

    `tokens` [N * T, D] are contiguous and not yet normalised; `norm` holds gain and offset [D]. `queries` [H, D] are
    float32 with the gain in them, H = D / 64; `values` [D, D] are of tokens' dtype, 64 rows a head. The values' bias is
    left to the next product. See `latent_pool_oracle`. Raises ValueError on other shapes.
    """
    rows, width = tokens.shape
    heads = width // HEAD
    if rows % images or width % HEAD or not tokens.is_contiguous():
        raise ValueError(f"tokens must be contiguous [{images} * T, heads * {HEAD}], not {tuple(tokens.shape)}")
    if queries.shape != (heads, width) or values.shape != (width, width) or values.dtype != tokens.dtype:
        raise ValueError(f"queries must be [{heads}, {width}] and values [{width}, {width}] in {tokens.dtype}")
    if not queries.is_contiguous() or not values.is_contiguous():
        raise ValueError("queries and values must be contiguous")
    options: dict[str, Any] = {"D": width, "HEADS": heads, "PDL": pdl, **({"launch_pdl": True} if pdl else {})}
    scores = torch.empty((images, heads, rows // images), dtype=torch.float32, device=tokens.device)
    moments = torch.empty((rows, 2), dtype=torch.float32, device=tokens.device)
    _score_kernel[(min(triton.cdiv(rows, ROWS), PROGRAMS * available(tokens.device)),)](
        tokens,
        queries,
        scores,
        moments,
        rows,
        eps,
        T=rows // images,
        BLOCK_D=triton.next_power_of_2(width),
        ROWS=ROWS,
        UNROLL=2,
        num_warps=1,
        **options,
    )
    pooled = torch.empty((images, heads * width), dtype=tokens.dtype, device=tokens.device)
    _pool_kernel[(images * heads,)](
        tokens,
        scores,
        moments,
        *norm,
        pooled,
        T=rows // images,
        BLOCK_H=max(LEAST, triton.next_power_of_2(heads)),
        BLOCK_T=64,
        BLOCK_C=HEAD,
        num_warps=4,
        **options,
    )
    blocks = triton.cdiv(images, BLOCK)
    out = torch.empty((blocks * BLOCK, width), dtype=tokens.dtype, device=tokens.device)
    _value_kernel[(blocks * heads,)](
        pooled, values, out, images, BLOCK_N=BLOCK, BLOCK_K=HEAD, num_warps=4, num_stages=5, **options
    )
    return out
