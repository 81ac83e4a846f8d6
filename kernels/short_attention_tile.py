"""Parts of the attention over few tokens: layouts, loading and turning, and a tile's meeting with a block of keys."""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import warpgroup_mma


@gluon.constexpr_function  # type: ignore[untyped-decorator]  # triton carries no types
def scores_layout(keys: int) -> gl.NVMMADistributedLayout:
    """Of scores of a tile and `keys` keys, four warps of 16 queries."""
    return gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, keys, 16])


@gluon.constexpr_function  # type: ignore[untyped-decorator]  # triton carries no types
def rows_layout() -> gl.BlockedLayout:
    """Of half a head's channels in many rows: sixteen bytes a thread."""
    return gl.BlockedLayout([1, 8], [8, 4], [4, 1], [1, 0])


@gluon.constexpr_function  # type: ignore[untyped-decorator]  # triton carries no types
def head_layout() -> gl.BlockedLayout:
    """Of all channels of a head in many rows: sixteen bytes a thread."""
    return gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])


@gluon.constexpr_function  # type: ignore[untyped-decorator]  # triton carries no types
def shared_layout() -> gl.NVMMASharedLayout:
    """Of a head's channels where the tensor cores read them."""
    return gl.NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=2)


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def halves(  # noqa: PLR0917  # one tile's address, parts and bounds
    source: gl.tensor,  # [T, 3 * WIDTH], first channel of one head's q or k
    cos: gl.tensor,  # float16 [T, 32]
    sin: gl.tensor,  # float16 [T, 32]
    start: gl.tensor,  # int32, first row
    ROWS: gl.constexpr,
    T: gl.constexpr,  # rows that exist
    WIDTH: gl.constexpr,  # channels of all heads
) -> tuple[gl.tensor, gl.tensor, gl.tensor, gl.tensor]:
    """Both halves of a head in ROWS rows with the angles of their positions; zeros where no row exists."""
    layout: gl.constexpr = rows_layout()
    rows = start + gl.arange(0, ROWS, layout=gl.SliceLayout(1, layout))
    half = gl.arange(0, 32, layout=gl.SliceLayout(0, layout))
    at = source + rows[:, None] * (3 * WIDTH) + half[None, :]
    angle = rows[:, None] * 32 + half[None, :]
    mask = (rows < T)[:, None]
    first, second = gl.load(at, mask=mask, other=0.0), gl.load(at + 32, mask=mask, other=0.0)
    return first, second, gl.load(cos + angle, mask=mask, other=0.0), gl.load(sin + angle, mask=mask, other=0.0)


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def turned(first: gl.tensor, second: gl.tensor, c: gl.tensor, s: gl.tensor) -> gl.tensor:
    """The head [R, 64] whose halves [R, 32] are turned by their angles.

    The sums are spelt out as fused ones, so that every compiled kernel rounds alike.
    """
    x, y, c, s = first.to(gl.float32), second.to(gl.float32), c.to(gl.float32), s.to(gl.float32)
    both = gl.join(gl.fma(x, c, -(y * s)).to(first.dtype), gl.fma(y, c, x * s).to(first.dtype))
    return both.permute(0, 2, 1).reshape([first.shape[0], 64])


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def fetch_values(  # noqa: PLR0917  # a block's address and bounds
    values: gl.shared_memory_descriptor,  # [ROWS, 64]
    content: gl.tensor,  # [T, 3 * WIDTH], first channel of one head's v
    START: gl.constexpr,  # first row
    ROWS: gl.constexpr,
    T: gl.constexpr,  # rows that exist
    WIDTH: gl.constexpr,  # channels of all heads
) -> None:
    """Begin to copy rows [START, START + ROWS) of a head's values; zeros where no row exists."""
    layout: gl.constexpr = head_layout()
    rows = START + gl.arange(0, ROWS, layout=gl.SliceLayout(1, layout))
    channel = gl.arange(0, 64, layout=gl.SliceLayout(0, layout))
    at = content + rows[:, None] * (3 * WIDTH) + channel[None, :]
    async_copy.async_copy_global_to_shared(values, at, mask=(rows < T)[:, None])


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def scores_of(q: gl.tensor, keys: gl.shared_memory_descriptor) -> gl.tensor:
    """Begin the product of a tile of queries and a block of keys."""
    KEYS: gl.constexpr = keys.shape[0]
    zeros = gl.zeros([64, KEYS], gl.float32, layout=scores_layout(KEYS))
    return warpgroup_mma(q, keys.permute((1, 0)), zeros, use_acc=False, is_async=True)


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def existing(scores: gl.tensor, START: gl.constexpr, T: gl.constexpr) -> gl.tensor:
    """Scores of keys [START, ...), of which those that do not exist weigh nothing."""
    KEYS: gl.constexpr = scores.shape[1]
    if START + KEYS > T:
        keys = START + gl.arange(0, KEYS, layout=gl.SliceLayout(0, scores_layout(KEYS)))
        scores = gl.where((keys < T)[None, :], scores, -float("inf"))
    return scores


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def weighed(scores: gl.tensor, shift: gl.tensor, factor: gl.tensor, dtype: gl.constexpr) -> tuple[gl.tensor, gl.tensor]:
    """Weights of a block of keys as the products take them, and their sums; `shift` takes off the largest score."""
    KEYS: gl.constexpr = scores.shape[1]
    shift = gl.convert_layout(shift, gl.SliceLayout(1, scores_layout(KEYS)))
    weights = gl.exp2(gl.fma(scores, factor, shift[:, None]))
    total = gl.convert_layout(gl.sum(weights, axis=1), gl.SliceLayout(1, scores_layout(64)))
    return gl.convert_layout(weights.to(dtype), gl.DotOperandLayout(0, scores_layout(64), 2)), total


@gluon.jit  # type: ignore[untyped-decorator]  # triton carries no types
def largest_of(scores: gl.tensor) -> gl.tensor:
    """Of each query, in the layout that all blocks share."""
    return gl.convert_layout(gl.max(scores, axis=1), gl.SliceLayout(1, scores_layout(64)))
