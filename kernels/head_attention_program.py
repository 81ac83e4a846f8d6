"""The programs of the attention-pooling head; `head_attention.py` launches them.

A program takes a few tokens of one image, whole rows of them: it scores them, adds them up, and adds them up weighted
by an online softmax (Milakov and Gimelshein, 2018). The last program of an image to arrive joins the parts in order and
finishes the logit. Scores and normalised tokens exist nowhere in memory. Sums run in an order that depends on one
image's shape alone: an image gets the same answer, bit for bit, in any batch.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

LOWEST = tl.constexpr(-1e30)
"""Below every score; finite, since infinity less infinity is no number."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _judged(  # noqa: PLR0917  # a third of the embedding, and the vectors that belong to it
    x: tl.tensor,  # float32 [BLOCK_D], centred and scaled
    norm_weight: tl.tensor,  # [D]
    norm_bias: tl.tensor,  # [D]
    weight: tl.tensor,  # [D]
    columns: tl.tensor,  # int32 [BLOCK_D]
    inside: tl.tensor,  # bool [BLOCK_D]
) -> tl.tensor:
    """What each channel of one third adds to the logit."""
    gain = tl.load(norm_weight + columns, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(norm_bias + columns, mask=inside, other=0.0).to(tl.float32)
    return (x * gain + offset) * tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _finish(  # noqa: PLR0917  # what all programs of an image have left, and what judges it
    token_gain: tl.tensor,  # [D]
    token_offset: tl.tensor,  # [D]
    norm_weight: tl.tensor,  # [3 * D]
    norm_bias: tl.tensor,  # [3 * D]
    weight: tl.tensor,  # [3 * D]
    bias: tl.tensor,  # [1]
    partial: tl.tensor,  # float32 [PARTS, 2 * D]
    stats: tl.tensor,  # float32 [PARTS, 2]
    logit: tl.tensor,  # float32 [1]
    answer: tl.tensor,  # float32 [3 * D], the first third written
    eps: tl.tensor,  # float32
    scale: tl.tensor,  # float32
    shift: tl.tensor,  # float32
    PATCHES: tl.constexpr,  # tokens that are pooled
    D: tl.constexpr,  # channels
    BLOCK_D: tl.constexpr,  # D, rounded up to a power of two
    PARTS: tl.constexpr,  # programs an image
    BLOCK_PARTS: tl.constexpr,  # PARTS, rounded up to a power of two
    NORM: tl.constexpr,  # gain and offset are still to come
) -> None:
    """Join the parts of one image in order, and judge its embedding."""
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    # .cg reads through the L2 cache, where other multiprocessors' stores are.
    parts = tl.arange(0, BLOCK_PARTS)
    there = stats + parts * 2
    tops = tl.load(there, mask=parts < PARTS, other=LOWEST, cache_modifier=".cg")
    sums = tl.load(there + 1, mask=parts < PARTS, other=0.0, cache_modifier=".cg")
    highest = tl.max(tops, axis=0)
    weighed = tl.sum(sums * tl.exp(tops - highest), axis=0)
    cls = tl.load(answer + columns, mask=inside, other=0.0, cache_modifier=".cg")
    mean = tl.zeros([BLOCK_D], dtype=tl.float32)
    seen = tl.zeros([BLOCK_D], dtype=tl.float32)
    for other in tl.range(0, PARTS, loop_unroll_factor=4):
        at = partial + other * (2 * D) + columns
        mean += tl.load(at, mask=inside, other=0.0, cache_modifier=".cg")
        top = tl.load(stats + other * 2, cache_modifier=".cg")
        seen += tl.load(at + D, mask=inside, other=0.0, cache_modifier=".cg") * tl.exp(top - highest)
    mean = mean / PATCHES
    seen = seen / weighed
    if NORM:
        gain = tl.load(token_gain + columns, mask=inside, other=0.0).to(tl.float32)
        offset = tl.load(token_offset + columns, mask=inside, other=0.0).to(tl.float32)
        cls = cls * gain + offset
        mean = mean * gain + offset
        seen = seen * gain + offset
    tl.store(answer + columns, cls, mask=inside)
    tl.store(answer + D + columns, mean, mask=inside)
    tl.store(answer + 2 * D + columns, seen, mask=inside)
    centre = (tl.sum(cls, axis=0) + tl.sum(mean, axis=0) + tl.sum(seen, axis=0)) / (3 * D)
    cls = tl.where(inside, cls - centre, 0.0)
    mean = tl.where(inside, mean - centre, 0.0)
    seen = tl.where(inside, seen - centre, 0.0)
    spread = tl.sum(cls * cls, axis=0) + tl.sum(mean * mean, axis=0) + tl.sum(seen * seen, axis=0)
    rstd = tl.rsqrt(spread / (3 * D) + tl.cast(eps, tl.float32))
    judged = _judged(cls * rstd, norm_weight, norm_bias, weight, columns, inside)
    judged += _judged(mean * rstd, norm_weight + D, norm_bias + D, weight + D, columns, inside)
    judged += _judged(seen * rstd, norm_weight + 2 * D, norm_bias + 2 * D, weight + 2 * D, columns, inside)
    raw = tl.sum(judged, axis=0) + tl.load(bias).to(tl.float32)
    tl.store(logit, raw * tl.cast(scale, tl.float32) - tl.cast(shift, tl.float32))


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def attention_head_kernel(  # noqa: PLR0917  # the launcher passes by position
    tokens: tl.tensor,  # [N, T, D], channels contiguous
    token_gain: tl.tensor,  # [D], of the backbone's last norm; unread without NORM
    token_offset: tl.tensor,  # [D], likewise
    score: tl.tensor,  # [D]
    norm_weight: tl.tensor,  # [3 * D]
    norm_bias: tl.tensor,  # [3 * D]
    weight: tl.tensor,  # [3 * D]
    bias: tl.tensor,  # [1]
    partial: tl.tensor,  # float32 [N * PARTS, 2 * D]: sum of patches, weighted sum of patches
    stats: tl.tensor,  # float32 [N * PARTS, 2]: highest score, sum of weights
    arrived: tl.tensor,  # int32 [>= N], zero before and after: programs of an image that are done
    logits: tl.tensor,  # float32 [N]
    pooled: tl.tensor,  # float32 [N, 3 * D], contiguous: CLS, mean, attended
    stride_n: tl.tensor,  # elements from an image to the next
    stride_t: tl.tensor,  # elements from a token to the next
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
    BLOCK_PARTS: tl.constexpr,  # PARTS, rounded up to a power of two
    NORM: tl.constexpr,  # tokens are not normalised yet
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    """Pool a share of one image's tokens; the last share to be done goes on to `_finish`."""
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    image = tl.program_id(0) // PARTS
    part = tl.program_id(0) % PARTS
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    source = tokens + image.to(tl.int64) * stride_n
    answer = pooled + image * (3 * D)
    # Gain enters the scores' weights here and the pooled tokens at the end; offset adds the same to every score.
    w = tl.load(score + columns, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        w *= tl.load(token_gain + columns, mask=inside, other=0.0).to(tl.float32)
    largest = tl.full([ROWS], LOWEST, dtype=tl.float32)
    weights = tl.zeros([ROWS], dtype=tl.float32)
    total = tl.zeros([ROWS, BLOCK_D], dtype=tl.float32)
    attended = tl.zeros([ROWS, BLOCK_D], dtype=tl.float32)
    for start in range(0, SHARE, ROWS):
        rows = part * SHARE + start + tl.arange(0, ROWS)
        mask = (rows < T)[:, None] & inside[None, :]
        x = tl.load(source + rows[:, None] * stride_t + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        if NORM:
            apart = tl.where(mask, x - (tl.sum(x, axis=1) / D)[:, None], 0.0)
            x = apart * tl.rsqrt(tl.sum(apart * apart, axis=1) / D + tl.cast(token_eps, tl.float32))[:, None]
        if (part == 0) & (start == 0):
            cls = tl.sum(tl.where((rows == 0)[:, None], x, 0.0), axis=0)
            tl.store(answer + columns, cls, mask=inside)
        patch = (rows >= PREFIX) & (rows < T)
        scores = tl.where(patch, tl.sum(x * w[None, :], axis=1), LOWEST)
        top = tl.maximum(largest, scores)
        shrink = tl.exp(largest - top)
        share = tl.where(patch, tl.exp(scores - top), 0.0)
        total += tl.where(patch[:, None], x, 0.0)
        attended = attended * shrink[:, None] + x * share[:, None]
        weights = weights * shrink + share
        largest = top
    highest = tl.max(largest, axis=0)
    shrink = tl.exp(largest - highest)
    place = image * PARTS + part
    tl.store(stats + place * 2, highest)
    tl.store(stats + place * 2 + 1, tl.sum(weights * shrink, axis=0))
    target = partial + place.to(tl.int64) * (2 * D) + columns
    tl.store(target, tl.sum(total, axis=0), mask=inside)
    tl.store(target + D, tl.sum(attended * shrink[:, None], axis=0), mask=inside)

    # Every thread's stores come before the arrival, which releases them; the last to arrive acquires all of them.
    tl.debug_barrier()
    if tl.atomic_add(arrived + image, 1, sem="acq_rel") == PARTS - 1:
        _finish(
            token_gain,
            token_offset,
            norm_weight,
            norm_bias,
            weight,
            bias,
            partial + image.to(tl.int64) * (PARTS * 2 * D),
            stats + image * (PARTS * 2),
            logits + image,
            answer,
            eps,
            scale,
            shift,
            T - PREFIX,
            D,
            BLOCK_D,
            PARTS,
            BLOCK_PARTS,
            NORM,
        )
        tl.store(arrived + image, 0)
