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
WARPS = 4


@gluon.constexpr_function
def _scores_layout(keys: int) -> gl.NVMMADistributedLayout:
    """Of scores of a tile and `keys` keys, four warps of 16 queries."""
    return gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, keys, 16])


@gluon.constexpr_function
def _rows_layout() -> gl.BlockedLayout:
    """Of half a head's channels in many rows: sixteen bytes a thread."""
    return gl.BlockedLayout([1, 8], [8, 4], [4, 1], [1, 0])


@gluon.constexpr_function
def _head_layout() -> gl.BlockedLayout:
    """Of all channels of a head in many rows: sixteen bytes a thread."""
    return gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])


@gluon.constexpr_function
def _shared_layout() -> gl.NVMMASharedLayout:
    """Of a head's channels where the tensor cores read them."""
    return gl.NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=2)


@gluon.jit
def _halves(  # noqa: PLR0917  # one tile's address, parts and bounds
    source,  # [T, 3 * WIDTH], first channel of one head's q or k
    cos,  # float16 [T, 32]
    sin,  # float16 [T, 32]
    start,  # int32, first row
    ROWS: gl.constexpr,
    T: gl.constexpr,  # rows that exist
    WIDTH: gl.constexpr,  # channels of all heads
):
    """Both halves of a head in ROWS rows with the angles of their positions; zeros where no row exists."""
    layout: gl.constexpr = _rows_layout()
    rows = start + gl.arange(0, ROWS, layout=gl.SliceLayout(1, layout))
    half = gl.arange(0, 32, layout=gl.SliceLayout(0, layout))
    at = source + rows[:, None] * (3 * WIDTH) + half[None, :]
    angle = rows[:, None] * 32 + half[None, :]
    mask = (rows < T)[:, None]
    first, second = gl.load(at, mask=mask, other=0.0), gl.load(at + 32, mask=mask, other=0.0)
    return first, second, gl.load(cos + angle, mask=mask, other=0.0), gl.load(sin + angle, mask=mask, other=0.0)


@gluon.jit
def _turned(first, second, c, s, factor):
    """The head [R, 64] whose halves [R, 32] are turned by their angles, times `factor`."""
    x, y = first.to(gl.float32), second.to(gl.float32)
    c, s = c.to(gl.float32) * factor, s.to(gl.float32) * factor
    both = gl.join((x * c - y * s).to(first.dtype), (y * c + x * s).to(first.dtype))
    return both.permute(0, 2, 1).reshape([first.shape[0], 64])


@gluon.jit
def _fetch_values(values, content, START: gl.constexpr, ROWS: gl.constexpr, T: gl.constexpr, WIDTH: gl.constexpr):
    """Begin to copy rows [START, START + ROWS) of a head's values; zeros where no row exists."""
    layout: gl.constexpr = _head_layout()
    rows = START + gl.arange(0, ROWS, layout=gl.SliceLayout(1, layout))
    channel = gl.arange(0, 64, layout=gl.SliceLayout(0, layout))
    at = content + rows[:, None] * (3 * WIDTH) + channel[None, :]
    async_copy.async_copy_global_to_shared(values, at, mask=(rows < T)[:, None])


@gluon.jit
def _scores(q, keys, START: gl.constexpr, T: gl.constexpr):
    """Begin the product of a tile of queries and a block of keys."""
    KEYS: gl.constexpr = keys.shape[0]
    zeros = gl.zeros([64, KEYS], gl.float32, layout=_scores_layout(KEYS))
    return warpgroup_mma(q, keys.permute((1, 0)), zeros, use_acc=False, is_async=True)


@gluon.jit
def _existing(scores, START: gl.constexpr, T: gl.constexpr):
    """Scores of keys [START, ...), of which those that do not exist weigh nothing."""
    KEYS: gl.constexpr = scores.shape[1]
    if START + KEYS > T:
        keys = START + gl.arange(0, KEYS, layout=gl.SliceLayout(0, _scores_layout(KEYS)))
        scores = gl.where((keys < T)[None, :], scores, -float("inf"))
    return scores


@gluon.jit
def _weights(scores, top, dtype: gl.constexpr):
    """Weights of a block of keys as the products take them, and their sums."""
    KEYS: gl.constexpr = scores.shape[1]
    weights = gl.exp2(scores - gl.convert_layout(top, gl.SliceLayout(1, _scores_layout(KEYS)))[:, None])
    total = gl.convert_layout(gl.sum(weights, axis=1), gl.SliceLayout(1, _scores_layout(64)))
    return gl.convert_layout(weights.to(dtype), gl.DotOperandLayout(0, _scores_layout(64), 2)), total


@gluon.jit
def _largest(scores):
    """Of each query, in the layout that all blocks share."""
    return gl.convert_layout(gl.max(scores, axis=1), gl.SliceLayout(1, _scores_layout(64)))


@gluon.jit
def _short_attention_kernel(  # noqa: PLR0917  # the launcher passes by position
    qkv,  # [N * T, 3 * HEADS * 64], contiguous: q, k, v
    cos,  # float16 [T, 32]
    sin,  # float16 [T, 32]
    out,  # [N * T, HEADS * 64], contiguous
    factor,  # float32: log2(e) / 8
    inverse8,  # float32: 1 / scale of a float8 `out`
    T: gl.constexpr,  # tokens of an image
    HEADS: gl.constexpr,  # of 64 channels
    TILES: gl.constexpr,  # of 64 queries a program
    FIRST: gl.constexpr,  # keys of the first block
    SECOND: gl.constexpr,  # keys of the second block; 0: there is none
    THIRD: gl.constexpr,  # likewise
    OUT8: gl.constexpr,  # `out` is float8_e4m3fn
    PDL: gl.constexpr,  # launched while its predecessor ends
):
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    WIDTH: gl.constexpr = HEADS * 64
    PARTS: gl.constexpr = ((T + 63) // 64 + TILES - 1) // TILES
    DTYPE: gl.constexpr = qkv.dtype.element_ty
    SHARED: gl.constexpr = _shared_layout()
    QUERIES: gl.constexpr = gl.DotOperandLayout(0, _scores_layout(64), 2)
    place = gl.program_id(0) // PARTS
    image = (place // HEADS).to(gl.int64)
    queries = qkv + image * (T * 3 * WIDTH) + place % HEADS * 64
    target = out + image * (T * WIDTH) + place % HEADS * 64
    content = queries + 2 * WIDTH

    values1 = gl.allocate_shared_memory(DTYPE, [FIRST, 64], SHARED)
    _fetch_values(values1, content, 0, FIRST, T, WIDTH)
    if SECOND:
        values2 = gl.allocate_shared_memory(DTYPE, [SECOND, 64], SHARED)
        _fetch_values(values2, content, FIRST, SECOND, T, WIDTH)
    if THIRD:
        values3 = gl.allocate_shared_memory(DTYPE, [THIRD, 64], SHARED)
        _fetch_values(values3, content, FIRST + SECOND, THIRD, T, WIDTH)
    async_copy.commit_group()
    # All loads first: each waits for memory, and together they wait once.
    a1, b1, c1, s1 = _halves(queries + WIDTH, cos, sin, 0, FIRST, T, WIDTH)
    if SECOND:
        a2, b2, c2, s2 = _halves(queries + WIDTH, cos, sin, FIRST, SECOND, T, WIDTH)
    if THIRD:
        a3, b3, c3, s3 = _halves(queries + WIDTH, cos, sin, FIRST + SECOND, THIRD, T, WIDTH)
    first_row = gl.program_id(0) % PARTS * (TILES * 64)
    a, b, c, s = _halves(queries, cos, sin, first_row, 64, T, WIDTH)
    tile = gl.allocate_shared_memory(DTYPE, [64, 64], SHARED)
    keys1 = gl.allocate_shared_memory(DTYPE, [FIRST, 64], SHARED)
    keys1.store(_turned(a1, b1, c1, s1, 1.0))
    if SECOND:
        keys2 = gl.allocate_shared_memory(DTYPE, [SECOND, 64], SHARED)
        keys2.store(_turned(a2, b2, c2, s2, 1.0))
    if THIRD:
        keys3 = gl.allocate_shared_memory(DTYPE, [THIRD, 64], SHARED)
        keys3.store(_turned(a3, b3, c3, s3, 1.0))
    async_copy.wait_group(0)
    for step in range(TILES):
        row = first_row + step * 64
        tile.store(_turned(a, b, c, s, factor))
        fence_async_shared()
        q = tile.load(QUERIES)
        if TILES > 1:  # the next tile's, while this one is multiplied; past the last row nothing is read
            a, b, c, s = _halves(queries, cos, sin, row + 64, 64, T, WIDTH)
        p1 = _scores(q, keys1, 0, T)
        if SECOND:
            p2 = _scores(q, keys2, FIRST, T)
        if THIRD:
            p3 = _scores(q, keys3, FIRST + SECOND, T)
        if THIRD:
            scores1, scores2, scores3 = warpgroup_mma_wait(0, deps=(p1, p2, p3))
            scores3 = _existing(scores3, FIRST + SECOND, T)
        elif SECOND:
            scores1, scores2 = warpgroup_mma_wait(0, deps=(p1, p2))
        else:
            scores1 = warpgroup_mma_wait(0, deps=(p1,))
        scores1 = _existing(scores1, 0, T)
        top = _largest(scores1)
        if SECOND:
            scores2 = _existing(scores2, FIRST, T)
            top = gl.maximum(top, _largest(scores2))
        if THIRD:
            top = gl.maximum(top, _largest(scores3))
        acc = gl.zeros([64, 64], gl.float32, layout=_scores_layout(64))
        weights1, total = _weights(scores1, top, DTYPE)
        acc = warpgroup_mma(weights1, values1, acc, use_acc=False, is_async=True)
        if SECOND:
            weights2, more = _weights(scores2, top, DTYPE)
            total += more
            acc = warpgroup_mma(weights2, values2, acc, is_async=True)
        if THIRD:
            weights3, more = _weights(scores3, top, DTYPE)
            total += more
            acc = warpgroup_mma(weights3, values3, acc, is_async=True)
        answer = warpgroup_mma_wait(0, deps=(acc,)) * (1.0 / total)[:, None]
        if OUT8:
            answer = answer * inverse8
            answer = gl.where(answer > 448.0, 448.0, answer)
            answer = gl.where(answer < -448.0, -448.0, answer)  # NaN stays NaN, so that the runner sees it
        given = gl.convert_layout(answer.to(out.dtype.element_ty), _head_layout())
        rows = row + gl.arange(0, 64, layout=gl.SliceLayout(1, _head_layout()))
        channel = gl.arange(0, 64, layout=gl.SliceLayout(0, _head_layout()))
        gl.store(target + rows[:, None] * WIDTH + channel[None, :], given, mask=(rows < T)[:, None])


def key_blocks(tokens: int) -> tuple[int, int, int]:
    """Keys of up to three blocks, each a power of two, that hold `tokens` keys with the fewest to spare."""
    blocks = []
    rest = tokens
    while rest > 0:
        largest = min(LARGEST_BLOCK, triton.next_power_of_2(rest + 1) // 2)
        last = len(blocks) == 2 or triton.next_power_of_2(rest) - rest < LEAST
        blocks.append(max(LEAST, min(LARGEST_BLOCK, triton.next_power_of_2(rest)) if last else largest))
        rest -= blocks[-1]
    return (*blocks, 0, 0)[0], (*blocks, 0, 0)[1], (*blocks, 0, 0)[2]


def fits(qkv: torch.Tensor, *, tokens: int) -> bool:
    """Whether this kernel can serve such tensors: 16 bits a number, few tokens, Hopper."""
    return (
        qkv.is_cuda
        and qkv.dtype in (torch.bfloat16, torch.float16)
        and tokens <= MOST
        and torch.cuda.get_device_capability(qkv.device) == (9, 0)
    )


def short_attention(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    out: torch.Tensor,
    *,
    tokens: int,
    tiles: int,
    inverse8: float = 1.0,
    pdl: bool = False,
) -> None:
    """As `attention` with positions, where `fits` says so; a program takes `tiles` tiles of 64 queries.

    Raises ValueError on other shapes or dtypes.
    """
    check(qkv, cos, sin, out, tokens)
    if tokens > MOST:
        raise ValueError(f"at most {MOST} tokens, not {tokens}")
    heads = out.shape[1] // HEAD
    first, second, third = key_blocks(tokens)
    tiles = min(tiles, triton.cdiv(tokens, TILE))
    parts = triton.cdiv(triton.cdiv(tokens, TILE), tiles)
    _short_attention_kernel[(qkv.shape[0] // tokens * heads * parts,)](
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
