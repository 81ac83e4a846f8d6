"""Self-attention straight from the qkv product: positions if rotary, softmax, weighted sum, heads of 64 channels.

The rotation pairs channel i with channel i + 32, so each half of q and of k is loaded as a tile of its own and rotated
in registers: no channel moves between threads, and q . k is the sum of two products of 32 channels. Queries, keys and
values are read where the linear layer left them, and heads are written side by side, as the next layer wants them.
Over many tokens a pass of its own rotates first (`rotate.py`), which costs less than rotating keys for every block of
queries; which of the two it is depends on the number of tokens alone. Without rotary positions nothing is rotated, and
queries and keys are tiles of all 64 channels. On Hopper a kernel of its own serves few tokens (`short_attention.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import torch
import triton
import triton.language as tl
from streetvision_kernels import short_attention
from streetvision_kernels.attention_checks import FACTOR, HEAD, LEAST, check
from streetvision_kernels.attention_shapes import KEYS, SHAPES, STILL_KEYS, STILL_SHAPES, Shape, ranked
from streetvision_kernels.chip import chip_of
from streetvision_kernels.float8 import to_float8
from streetvision_kernels.multiprocessors import assigned
from streetvision_kernels.rotate import rotate
from streetvision_kernels.tuning import Trial, fastest, recall, remember
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

APART_FROM = 400
"""Tokens from which on queries and keys are rotated beforehand; measured on an H200 (docs/gpu-figures.md)."""
LAUNCHES = 8
"""Timed together: one alone can be shorter than the clock's step."""

_chosen: dict[tuple[object, ...], Shape] = {}
_choosing = threading.Lock()


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _rotated(  # noqa: PLR0917  # one tile's address, parts and bounds
    source: tl.tensor,  # [T, STRIDE], first channel of one head's q or k
    rows: tl.tensor,  # int32 [R]
    cos: tl.tensor,  # float16 [T, 32]
    sin: tl.tensor,  # float16 [T, 32]
    factor: tl.tensor,  # float32, a scalar
    T: tl.constexpr,  # rows that exist
    STRIDE: tl.constexpr,  # elements from one row to the next
    WHOLE: tl.constexpr,  # all of `rows` exist
) -> tuple[tl.tensor, tl.tensor]:
    """Both halves of the heads in `rows`, rotated by their positions, times `factor`; WHOLE: all rows exist."""
    half = tl.arange(0, 32)
    at = source + rows[:, None] * STRIDE + half[None, :]
    angle = rows[:, None] * 32 + half[None, :]
    if WHOLE:
        first, second, c, s = tl.load(at), tl.load(at + 32), tl.load(cos + angle), tl.load(sin + angle)
    else:
        mask = (rows < T)[:, None]
        first, second = tl.load(at, mask=mask, other=0.0), tl.load(at + 32, mask=mask, other=0.0)
        c, s = tl.load(cos + angle, mask=mask, other=0.0), tl.load(sin + angle, mask=mask, other=0.0)
    x, y = first.to(tl.float32), second.to(tl.float32)
    c, s = c.to(tl.float32) * factor, s.to(tl.float32) * factor
    return (x * c - y * s).to(first.dtype), (y * c + x * s).to(first.dtype)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _halves(
    source: tl.tensor,  # [T, STRIDE], first channel of one head's q or k, rotated
    rows: tl.tensor,  # int32 [R]
    T: tl.constexpr,  # rows that exist
    STRIDE: tl.constexpr,  # elements from one row to the next
    WHOLE: tl.constexpr,  # all of `rows` exist
) -> tuple[tl.tensor, tl.tensor]:
    """Both halves of the heads in `rows`, as they are."""
    at = source + rows[:, None] * STRIDE + tl.arange(0, 32)[None, :]
    if WHOLE:
        first, second = tl.load(at), tl.load(at + 32)
    else:
        mask = (rows < T)[:, None]
        first, second = tl.load(at, mask=mask, other=0.0), tl.load(at + 32, mask=mask, other=0.0)
    return first, second


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _whole(
    source: tl.tensor,  # [T, STRIDE], first channel of one head's q, k or v
    rows: tl.tensor,  # int32 [R]
    T: tl.constexpr,  # rows that exist
    STRIDE: tl.constexpr,  # elements from one row to the next
    WHOLE: tl.constexpr,  # all of `rows` exist
) -> tl.tensor:
    """All channels of the heads in `rows`, as they are."""
    at = source + rows[:, None] * STRIDE + tl.arange(0, 64)[None, :]
    return tl.load(at) if WHOLE else tl.load(at, mask=(rows < T)[:, None], other=0.0)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _meet(  # noqa: PLR0917  # a block of keys, and what the queries have so far
    source: tl.tensor,  # first channel of the head's keys in one image: [T, 3 * WIDTH], or [T, 2 * WIDTH] if APART
    content: tl.tensor,  # [T, 3 * WIDTH], first channel of its values
    start: tl.tensor,  # int32, first key of the block
    cos: tl.tensor,  # float16 [T, 32]
    sin: tl.tensor,  # float16 [T, 32]
    q1: tl.tensor,  # [M, 32], first half of the rotated queries; if STILL [M, 64], all of them
    q2: tl.tensor,  # [M, 32], second half; unread if STILL
    largest: tl.tensor,  # float32 [M], highest score so far, base 2
    total: tl.tensor,  # float32 [M], sum of weights so far
    acc: tl.tensor,  # float32 [M, 64], weighted values so far
    T: tl.constexpr,  # keys that exist
    WIDTH: tl.constexpr,  # channels of all heads
    BLOCK_N: tl.constexpr,  # keys of the block
    WHOLE: tl.constexpr,  # all keys of the block exist
    APART: tl.constexpr,  # keys are rotated already
    STILL: tl.constexpr,  # keys are not rotated at all
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Let the queries meet one block of keys and values: new maximum, sum of weights and weighted sum."""
    keys = start + tl.arange(0, BLOCK_N)
    if STILL:
        scores = tl.dot(q1, _whole(source, keys, T, 3 * WIDTH, WHOLE).T)
    else:
        if APART:
            k1, k2 = _halves(source, keys, T, 2 * WIDTH, WHOLE)
        else:
            k1, k2 = _rotated(source, keys, cos, sin, 1.0, T, 3 * WIDTH, WHOLE)
        scores = tl.dot(q2, k2.T, tl.dot(q1, k1.T))
    values = _whole(content, keys, T, 3 * WIDTH, WHOLE)
    if not WHOLE:
        scores = tl.where((keys < T)[None, :], scores, -float("inf"))
    top = tl.maximum(largest, tl.max(scores, axis=1))
    weights = tl.exp2(scores - top[:, None])
    shrink = tl.exp2(largest - top)
    acc = tl.dot(weights.to(values.dtype), values, acc * shrink[:, None])
    return top, total * shrink + tl.sum(weights, axis=1), acc


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _attention_kernel(  # noqa: PLR0917  # the launcher passes by position
    qkv: tl.tensor,  # [N * T, 3 * HEADS * 64], contiguous: q, k, v
    turned: tl.tensor,  # [N * T, 2 * HEADS * 64], contiguous: q, k, rotated; unread unless APART
    cos: tl.tensor,  # float16 [T, 32]; unread if STILL
    sin: tl.tensor,  # float16 [T, 32]; likewise
    out: tl.tensor,  # [N * T, HEADS * 64], contiguous
    factor: tl.tensor,  # float32: log2(e) / 8
    inverse8: tl.tensor,  # float32: 1 / scale of a float8 `out`
    T: tl.constexpr,  # tokens of an image
    HEADS: tl.constexpr,  # of 64 channels
    BLOCK_M: tl.constexpr,  # queries a program
    BLOCK_N: tl.constexpr,  # keys a step
    TAIL: tl.constexpr,  # keys of the last, shorter step
    OUT8: tl.constexpr,  # `out` is float8_e4m3fn
    APART: tl.constexpr,  # queries and keys are rotated already
    STILL: tl.constexpr,  # they are not rotated at all
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    WIDTH: tl.constexpr = HEADS * 64
    WHOLE: tl.constexpr = T // BLOCK_N * BLOCK_N
    # Blocks of queries vary fastest: those of a head run together and share its keys and values in the caches.
    BLOCKS: tl.constexpr = (T + BLOCK_M - 1) // BLOCK_M
    place = tl.program_id(0) // BLOCKS
    image = (place // HEADS).to(tl.int64)
    content = qkv + image * (T * 3 * WIDTH) + place % HEADS * 64
    source = turned + image * (T * 2 * WIDTH) + place % HEADS * 64 if APART else content
    target = out + image * (T * WIDTH) + place % HEADS * 64
    rows = tl.program_id(0) % BLOCKS * BLOCK_M + tl.arange(0, BLOCK_M)
    if STILL:
        whole = _whole(source, rows, T, 3 * WIDTH, False)
        q1 = (whole.to(tl.float32) * factor).to(whole.dtype)
        q2 = q1
    elif APART:
        q1, q2 = _halves(source, rows, T, 2 * WIDTH, False)
    else:
        q1, q2 = _rotated(source, rows, cos, sin, factor, T, 3 * WIDTH, False)
    source, content = source + WIDTH, content + 2 * WIDTH
    largest = tl.full([BLOCK_M], -float("inf"), dtype=tl.float32)
    total = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, 64], dtype=tl.float32)
    for start in range(0, WHOLE, BLOCK_N):
        largest, total, acc = _meet(
            source, content, start, cos, sin, q1, q2, largest, total, acc, T, WIDTH, BLOCK_N, True, APART, STILL
        )  # fmt: skip
    if WHOLE < T:
        largest, total, acc = _meet(
            source, content, WHOLE, cos, sin, q1, q2, largest, total, acc, T, WIDTH, TAIL, False, APART, STILL
        )  # fmt: skip
    answer = acc * (1.0 / total)[:, None]
    at = target + rows[:, None] * WIDTH + tl.arange(0, 64)[None, :]
    if OUT8:
        tl.store(at, to_float8(answer, inverse8), mask=(rows < T)[:, None])
    else:
        tl.store(at, answer.to(out.dtype.element_ty), mask=(rows < T)[:, None])


def attention(
    qkv: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    out: torch.Tensor,
    *,
    tokens: int,
    inverse8: float = 1.0,
    shape: Shape | None = None,
    keys: int | None = None,
    apart: bool | None = None,
    pdl: bool = False,
) -> None:
    """Write softmax(q k.T / 8) v of every image and head to `out` [N * tokens, D], with q and k rotated first.

    `qkv` [N * tokens, 3 D] is bfloat16, float16 or float32, contiguous: queries, keys and values, each of D / 64 heads.
    `cos` and `sin` [tokens, 32] are float16, the same for both halves of a head; without them nothing is rotated.
    `out` is of qkv's dtype, or float8_e4m3fn (times `inverse8`, saturating). Keys are met in blocks of `keys`, the last
    of which may be shorter; None leaves their number to the way. `apart` rotates in a pass before; None does so from
    `APART_FROM` tokens on. See `attention_oracle`. Raises ValueError on other shapes or dtypes.

    Few tokens with positions are left to `short_attention` where that fits and nothing is asked of the way. Without a
    `shape` of the programs, the first call of another size tries those that the model of the chip ranks first and keeps
    the fastest, on disk too; captured in a CUDA graph it takes the first. An image's answer depends on neither.
    """
    free = shape is None and keys is None and apart is None
    if free and cos is not None and sin is not None and short_attention.fits(qkv, tokens=tokens):
        short_attention.short_attention(qkv, cos, sin, out, tokens=tokens, inverse8=inverse8, pdl=pdl)
        return
    check(qkv, cos, sin, out, tokens)
    keys = keys or (STILL_KEYS if cos is None else KEYS)
    turned = None
    if cos is not None and sin is not None and (tokens >= APART_FROM if apart is None else apart):
        turned = rotate(qkv, cos, sin, tokens=tokens, factor=FACTOR, pdl=pdl)
    run = partial(_launch, qkv, turned, cos, sin, tokens=tokens, inverse8=inverse8, keys=keys, pdl=pdl)
    run(out, shape=shape or _shape_for(qkv, out, tokens, run, still=cos is None))


def chosen_shape(qkv: torch.Tensor, out: torch.Tensor, *, tokens: int, still: bool = False) -> Shape | None:
    """The shape that programs for such tensors take on the current stream; None before the first call."""
    return _chosen.get(_question(qkv, out, tokens, still))


def _question(qkv: torch.Tensor, out: torch.Tensor, tokens: int, still: bool) -> tuple[object, ...]:
    """All that the choice depends on; `still` is without rotary positions."""
    name = torch.cuda.get_device_name(qkv.device)
    return (name, assigned(qkv.device), *qkv.shape, tokens, still, qkv.dtype, out.dtype)


def _shape_for(
    qkv: torch.Tensor, out: torch.Tensor, tokens: int, run: Callable[..., None], *, still: bool = False
) -> Shape:
    if qkv.device.type != "cuda":  # interpreted
        return Shape(KEYS, 2)
    question = _question(qkv, out, tokens, still)
    known = _chosen.get(question)
    if known is not None:
        return known
    places = qkv.shape[0] // tokens * (out.shape[1] // HEAD)
    shapes = STILL_SHAPES if still else ranked(chip_of(qkv.device), places=places, tokens=tokens) or SHAPES
    if torch.cuda.is_current_stream_capturing():
        return shapes[0]
    with _choosing:
        if question not in _chosen:
            _chosen[question] = _choose(shapes, question, out, run)
        return _chosen[question]


def _choose(
    shapes: Sequence[Shape], question: tuple[object, ...], out: torch.Tensor, run: Callable[..., None]
) -> Shape:
    """What an earlier process chose among the same shapes, or else the fastest of them."""
    remembered = ("attention", _attention_kernel.cache_key, shapes, *question)
    place = recall(remembered)
    if isinstance(place, int) and 0 <= place < len(shapes):
        return shapes[place]
    pause = torch.empty(1, device=out.device)
    trials = [Trial(partial(_nth, run, shape, pause), index) for index, shape in enumerate(shapes)]
    best = fastest(trials, out, None, launches=LAUNCHES)
    if best is None:
        raise RuntimeError(f"no shape of the attention's programs fits {question[0]}")
    remember(remembered, best)
    return shapes[best]


def _nth(run: Callable[..., None], shape: Shape, pause: torch.Tensor, _: int, out: torch.Tensor) -> None:
    """One launch after something else, as in service: launches in a row overlap, and small ones gain most by that."""
    run(out, shape=shape)
    pause.zero_()


def _launch(
    qkv: torch.Tensor,
    turned: torch.Tensor | None,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    out: torch.Tensor,
    *,
    tokens: int,
    inverse8: float,
    shape: Shape,
    keys: int,
    pdl: bool,
) -> None:
    heads = out.shape[1] // HEAD
    _attention_kernel[(qkv.shape[0] // tokens * heads * triton.cdiv(tokens, shape.queries),)](
        qkv,
        qkv if turned is None else turned,
        qkv if cos is None else cos,
        qkv if sin is None else sin,
        out,
        FACTOR,
        inverse8,
        T=tokens,
        HEADS=heads,
        BLOCK_M=shape.queries,
        BLOCK_N=keys,
        TAIL=min(keys, max(LEAST, triton.next_power_of_2(tokens % keys))),
        OUT8=out.dtype == torch.float8_e4m3fn,
        APART=turned is not None,
        STILL=cos is None,
        PDL=pdl,
        num_warps=shape.warps,
        num_stages=shape.stages,
        **({"maxnreg": shape.registers} if shape.registers is not None else {}),
        **({"launch_pdl": True} if pdl else {}),
    )
