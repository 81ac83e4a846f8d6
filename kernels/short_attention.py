"""Self-attention over few tokens on Hopper: a program has all keys and values of a head in shared memory.

As `attention.py` from the qkv product, positions rotated inside, heads of 64 channels; for as many tokens as one
program can hold scores of (`MOST`). There every block of queries rotates the keys anew; here a program rotates them
once, keeps them where the tensor cores read them, and takes its tiles of 64 queries in turn. No running maximum is
needed, since a tile's scores all fit into registers. Programs are small enough for three on a multiprocessor: while
one waits for memory or for its products, the others take exponentials.

How many tiles a program takes is free: an image's answer has the same bits. Many programs of one tile answer a single
picture soonest; in batches a program takes all tiles of its head, which reads keys and values once. Written in Gluon,
Triton's lower level, where layouts and shared memory are chosen by hand.
"""

from __future__ import annotations

import torch
import triton
from streetvision_kernels.attention_checks import FACTOR, HEAD, LEAST, check
from streetvision_kernels.attention_shapes import HOPPER
from streetvision_kernels.float8 import to_float8
from streetvision_kernels.multiprocessors import available
from streetvision_kernels.short_attention_tile import (
    existing,
    fetch_values,
    halves,
    head_layout,
    largest_of,
    scores_layout,
    scores_of,
    shared_layout,
    turned,
    weighed,
)
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, warpgroup_mma, warpgroup_mma_wait
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

TILE = 64
"""Queries that meet the keys at once: what four warps multiply by."""
MOST = 208
"""Keys whose scores four warps can hold beside what they need else."""
LARGEST_BLOCK = 128
"""Keys of a product."""
REGISTERS = 168
"""Of a thread: three programs fill a multiprocessor."""
RESIDENT = 3
"""Programs on a multiprocessor at a time."""
WARPS = 4


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _short_attention_kernel(  # noqa: PLR0912, PLR0915, PLR0917  # blocks of keys are spelt out: Gluon has no lists
    qkv: gl.tensor,  # [N * T, 3 * HEADS * 64], contiguous: q, k, v
    cos: gl.tensor,  # float16 [T, 32]
    sin: gl.tensor,  # float16 [T, 32]
    out: gl.tensor,  # [N * T, HEADS * 64], contiguous
    factor: gl.tensor,  # float32: log2(e) / 8
    inverse8: gl.tensor,  # float32: 1 / scale of a float8 `out`
    T: gl.constexpr,  # tokens of an image
    HEADS: gl.constexpr,  # of 64 channels
    TILES: gl.constexpr,  # of 64 queries a program
    FIRST: gl.constexpr,  # keys of the first block
    SECOND: gl.constexpr,  # keys of the second block; 0: there is none
    THIRD: gl.constexpr,  # likewise
    OUT8: gl.constexpr,  # `out` is float8_e4m3fn
    PDL: gl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    WIDTH: gl.constexpr = HEADS * 64
    PARTS: gl.constexpr = ((T + 63) // 64 + TILES - 1) // TILES
    DTYPE: gl.constexpr = qkv.dtype.element_ty
    SHARED: gl.constexpr = shared_layout()
    QUERIES: gl.constexpr = gl.DotOperandLayout(0, scores_layout(64), 2)
    place = gl.program_id(0) // PARTS
    image = (place // HEADS).to(gl.int64)
    queries = qkv + image * (T * 3 * WIDTH) + place % HEADS * 64
    target = out + image * (T * WIDTH) + place % HEADS * 64
    content = queries + 2 * WIDTH

    values1 = gl.allocate_shared_memory(DTYPE, [FIRST, 64], SHARED)
    fetch_values(values1, content, 0, FIRST, T, WIDTH)
    if SECOND:
        values2 = gl.allocate_shared_memory(DTYPE, [SECOND, 64], SHARED)
        fetch_values(values2, content, FIRST, SECOND, T, WIDTH)
    if THIRD:
        values3 = gl.allocate_shared_memory(DTYPE, [THIRD, 64], SHARED)
        fetch_values(values3, content, FIRST + SECOND, THIRD, T, WIDTH)
    async_copy.commit_group()
    # All loads first: each waits for memory, and together they wait once.
    a1, b1, c1, s1 = halves(queries + WIDTH, cos, sin, 0, FIRST, T, WIDTH)
    if SECOND:
        a2, b2, c2, s2 = halves(queries + WIDTH, cos, sin, FIRST, SECOND, T, WIDTH)
    if THIRD:
        a3, b3, c3, s3 = halves(queries + WIDTH, cos, sin, FIRST + SECOND, THIRD, T, WIDTH)
    first_row = gl.program_id(0) % PARTS * (TILES * 64)
    a, b, c, s = halves(queries, cos, sin, first_row, 64, T, WIDTH)
    tile = gl.allocate_shared_memory(DTYPE, [64, 64], SHARED)
    keys1 = gl.allocate_shared_memory(DTYPE, [FIRST, 64], SHARED)
    keys1.store(turned(a1, b1, c1, s1))
    if SECOND:
        keys2 = gl.allocate_shared_memory(DTYPE, [SECOND, 64], SHARED)
        keys2.store(turned(a2, b2, c2, s2))
    if THIRD:
        keys3 = gl.allocate_shared_memory(DTYPE, [THIRD, 64], SHARED)
        keys3.store(turned(a3, b3, c3, s3))
    async_copy.wait_group(0)
    for step in range(TILES):
        row = first_row + step * 64
        tile.store(turned(a, b, c, s))
        fence_async_shared()
        q = tile.load(QUERIES)
        if TILES > 1:  # the next tile's, while this one is multiplied; past the last row nothing is read
            a, b, c, s = halves(queries, cos, sin, row + 64, 64, T, WIDTH)
        p1 = scores_of(q, keys1)
        if SECOND:
            p2 = scores_of(q, keys2)
        if THIRD:
            p3 = scores_of(q, keys3)
        if THIRD:
            scores1, scores2, scores3 = warpgroup_mma_wait(0, deps=(p1, p2, p3))
            scores3 = existing(scores3, FIRST + SECOND, T)
        elif SECOND:
            scores1, scores2 = warpgroup_mma_wait(0, deps=(p1, p2))
        else:
            scores1 = warpgroup_mma_wait(0, deps=(p1,))
        scores1 = existing(scores1, 0, T)
        top = largest_of(scores1)
        if SECOND:
            scores2 = existing(scores2, FIRST, T)
            top = gl.maximum(top, largest_of(scores2))
        if THIRD:
            top = gl.maximum(top, largest_of(scores3))
        shift = -(top * factor)
        acc = gl.zeros([64, 64], gl.float32, layout=scores_layout(64))
        weights1, total = weighed(scores1, shift, factor, DTYPE)
        acc = warpgroup_mma(weights1, values1, acc, use_acc=False, is_async=True)
        if SECOND:
            weights2, more = weighed(scores2, shift, factor, DTYPE)
            total += more
            acc = warpgroup_mma(weights2, values2, acc, is_async=True)
        if THIRD:
            weights3, more = weighed(scores3, shift, factor, DTYPE)
            total += more
            acc = warpgroup_mma(weights3, values3, acc, is_async=True)
        answer = warpgroup_mma_wait(0, deps=(acc,)) * (1.0 / total)[:, None]
        rounded = to_float8(answer, inverse8) if OUT8 else answer.to(out.dtype.element_ty)
        given = gl.convert_layout(rounded, head_layout())
        rows = row + gl.arange(0, 64, layout=gl.SliceLayout(1, head_layout()))
        channel = gl.arange(0, 64, layout=gl.SliceLayout(0, head_layout()))
        gl.store(target + rows[:, None] * WIDTH + channel[None, :], given, mask=(rows < T)[:, None])


def key_blocks(tokens: int) -> tuple[int, int, int]:
    """Keys of up to three blocks, each a power of two, that hold `tokens` keys with the fewest to spare."""
    blocks: list[int] = []
    rest = tokens
    while rest > 0:
        largest = min(LARGEST_BLOCK, triton.next_power_of_2(rest + 1) // 2)
        last = len(blocks) == 2 or triton.next_power_of_2(rest) - rest < LEAST
        blocks.append(max(LEAST, min(LARGEST_BLOCK, triton.next_power_of_2(rest)) if last else largest))
        rest -= blocks[-1]
    first, second, third = (*blocks, 0, 0)[:3]
    return first, second, third


def tiles_for(places: int, *, tokens: int, programs: int) -> int:
    """The fewest tiles a program (1, 2, ...; at most all) by which the heads of images make at most `programs`."""
    whole = triton.cdiv(tokens, TILE)
    tiles = 1
    while tiles < whole and places * triton.cdiv(whole, tiles) > programs:
        tiles = min(2 * tiles, whole)
    return tiles


def fits(qkv: torch.Tensor, *, tokens: int) -> bool:
    """Whether this kernel can serve such tensors: 16 bits a number, few tokens, Hopper."""
    return (
        qkv.is_cuda
        and qkv.dtype in (torch.bfloat16, torch.float16)
        and tokens <= MOST
        and torch.cuda.get_device_capability(qkv.device) == HOPPER
    )


def short_attention(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    out: torch.Tensor,
    *,
    tokens: int,
    tiles: int | None = None,
    inverse8: float = 1.0,
    pdl: bool = False,
) -> None:
    """As `attention` with positions, where `fits` says so; a program takes `tiles` tiles of 64 queries.

    Without `tiles` it takes as few as let all programs run at a time, in batches all of its head. Raises ValueError on
    other shapes or dtypes.
    """
    check(qkv, cos, sin, out, tokens)
    if tokens > MOST:
        raise ValueError(f"at most {MOST} tokens, not {tokens}")
    heads = out.shape[1] // HEAD
    first, second, third = key_blocks(tokens)
    places = qkv.shape[0] // tokens * heads
    if tiles is None:
        tiles = tiles_for(places, tokens=tokens, programs=RESIDENT * available(qkv.device))
    parts = triton.cdiv(triton.cdiv(tokens, TILE), tiles)
    _short_attention_kernel[(places * parts,)](
        qkv,
        cos,
        sin,
        out,
        FACTOR,
        inverse8,
        T=tokens,
        HEADS=heads,
        TILES=tiles,
        FIRST=first,
        SECOND=second,
        THIRD=third,
        OUT8=out.dtype == torch.float8_e4m3fn,
        PDL=pdl,
        num_warps=WARPS,
        maxnreg=REGISTERS,
        **({"launch_pdl": True} if pdl else {}),
    )
