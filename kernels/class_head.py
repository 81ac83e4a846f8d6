"""The heads on one vector an image: perhaps brought to unit length, a linear layer, the log-odds of some classes.

A program reads one image's vector and meets the classes a few at a time, with an online logarithm of summed
exponentials for those that count as roadwork and one for the others.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

CLASSES = 8
"""Met at once."""
LOWEST = tl.constexpr(-1e30)
"""Below every logit; finite, since infinity less infinity is no number."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _onto(
    largest: tl.tensor,  # float32, so far
    total: tl.tensor,  # float32, of exponentials so far
    scores: tl.tensor,  # float32 [BLOCK_C]
    chosen: tl.tensor,  # bool [BLOCK_C]
) -> tuple[tl.tensor, tl.tensor]:
    """Take the chosen scores into a running maximum and sum of exponentials."""
    top = tl.maximum(largest, tl.max(tl.where(chosen, scores, LOWEST), axis=0))
    share = tl.where(chosen, tl.exp(scores - top), 0.0)
    return top, total * tl.exp(largest - top) + tl.sum(share, axis=0)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _class_head_kernel(  # noqa: PLR0917  # the launcher passes by position
    vectors: tl.tensor,  # [N, D], contiguous
    weight: tl.tensor,  # float32 [CLASSES, D]
    bias: tl.tensor,  # float32 [CLASSES]
    positive: tl.tensor,  # float32 [CLASSES]: 1 for roadwork, 0 otherwise
    logits: tl.tensor,  # float32 [N]
    embedding: tl.tensor,  # float32 [N, D]
    scale: tl.tensor,  # float32
    shift: tl.tensor,  # float32
    D: tl.constexpr,  # channels
    CLASSES: tl.constexpr,
    BLOCK_D: tl.constexpr,  # D, rounded up to a power of two
    BLOCK_C: tl.constexpr,  # classes a step
    UNIT: tl.constexpr,  # vectors are brought to unit length
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    image = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    x = tl.load(vectors + image * D + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(embedding + image * D + columns, x, mask=inside)
    if UNIT:
        x = x / tl.maximum(tl.sqrt(tl.sum(x * x, axis=0)), 1e-12)
    if CLASSES == 1:
        w = tl.load(weight + columns, mask=inside, other=0.0)
        raw = tl.sum(x * w, axis=0) + tl.load(bias)
    else:
        top_for = -1e30
        sum_for = 0.0
        top_against = -1e30
        sum_against = 0.0
        for start in range(0, CLASSES, BLOCK_C):
            some = start + tl.arange(0, BLOCK_C)
            known = some < CLASSES
            at = weight + some[:, None] * D + columns[None, :]
            w = tl.load(at, mask=known[:, None] & inside[None, :], other=0.0)
            scores = tl.sum(w * x[None, :], axis=1) + tl.load(bias + some, mask=known, other=0.0)
            ours = tl.load(positive + some, mask=known, other=0.0) > 0.5
            top_for, sum_for = _onto(top_for, sum_for, scores, known & ours)
            top_against, sum_against = _onto(top_against, sum_against, scores, known & (ours == 0))
        raw = top_for + tl.log(sum_for) - top_against - tl.log(sum_against)
    tl.store(logits + image, raw * scale - shift)


def class_head(
    vectors: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    positive: torch.Tensor,
    *,
    unit: bool,
    scale: float = 1.0,
    shift: float = 0.0,
    pdl: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N] and the vectors as they came [N, D], both float32.

    `vectors` [N, D] are contiguous; `weight` [C, D], `bias` [C] and `positive` [C] (1 or 0) are contiguous float32.
    With one class its logit is answered, with more the log-odds of the positive ones. See `class_head_oracle`. Raises
    ValueError on other shapes.
    """
    count, width = vectors.shape
    classes = len(weight)
    if not vectors.is_contiguous() or weight.shape != (classes, width) or not weight.is_contiguous():
        raise ValueError(f"vectors {tuple(vectors.shape)} and weight {tuple(weight.shape)} must be contiguous and fit")
    if bias.shape != (classes,) or positive.shape != (classes,):
        raise ValueError(f"bias and positive must be [{classes}], not {tuple(bias.shape)} and {tuple(positive.shape)}")
    logits = torch.empty(count, dtype=torch.float32, device=vectors.device)
    embedding = torch.empty((count, width), dtype=torch.float32, device=vectors.device)
    _class_head_kernel[(count,)](
        vectors,
        weight,
        bias,
        positive,
        logits,
        embedding,
        scale,
        shift,
        D=width,
        CLASSES=classes,
        BLOCK_D=triton.next_power_of_2(width),
        BLOCK_C=CLASSES,
        UNIT=unit,
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )
    return logits, embedding
