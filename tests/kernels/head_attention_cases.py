"""Run the attention-pooling head on a device over shapes, print errors as JSON: `head_attention_cases cpu|cuda`.

A program of its own, since Triton decides at import whether it interprets (TRITON_INTERPRET=1, on the CPU) or compiles.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from streetvision_kernels.head_attention import fused_attention_head, norm_attention_head
from streetvision_kernels.head_attention_oracle import attention_head_oracle, norm_attention_head_oracle

Case = dict[str, Any]
Tensors = tuple[torch.Tensor, torch.Tensor]

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SCALAR_CASES = ((1e-5, 1.0, 0.0), (0.3, 0.6, -0.8), (1e-6, 2.5, 1.5))
CPU_SHAPES = ((1, 5, 41, 192), (2, 5, 6, 64), (2, 1, 17, 384), (1, 3, 70, 128), (1, 1, 2, 192), (1, 5, 805, 64))
CUDA_SHAPES = (
    *((3, 5, 201, width) for width in (192, 384, 768, 1024, 1280)),
    (1, 1, 197, 768),
    (2, 5, 581, 768),
    (2, 5, 1029, 384),
    (1, 5, 2309, 384),
    (2, 5, 2309, 1280),
    (1, 5, 201, 4096),
    (1, 1, 2, 192),
    (130, 5, 201, 384),
)


def inputs(n: int, prefix: int, t: int, d: int, dtype: torch.dtype, seed: int, *, sharp: float = 2.0) -> Case:
    """Random tokens around a non-zero mean, scores that spread by `sharp`, and a random head: no term can vanish."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    return {
        "tokens": (normal(n, t, d) + 0.5 * normal(1, 1, d) + 0.25).to(dtype),
        "score": normal(d) * sharp / d**0.5,
        "norm_weight": 1 + 0.3 * normal(3 * d),
        "norm_bias": 0.3 * normal(3 * d),
        "weight": normal(3 * d) / (3 * d) ** 0.5,
        "bias": normal(1),
        "prefix": prefix,
    }


def to(device: str, case: Case) -> Case:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in case.items()}


def wide(case: Case) -> Case:
    """In float64 on the CPU, from the same rounded inputs."""
    return {k: v.cpu().double() if isinstance(v, torch.Tensor) else v for k, v in case.items()}


def errors(name: str, got: Tensors, expected: Tensors) -> Case:
    logit, pooled = ((a.cpu().double() - b).abs().max().item() for a, b in zip(got, expected, strict=True))
    return {"case": name, "logit": logit, "pooled": pooled}


def poison(device: str, n: int, d: int) -> None:
    """Leave NaN and wrong counts in the memory that the next call's buffers are likely to get."""
    held = [torch.full((n, 3 * d), float("nan"), device=device) for _ in range(3)]
    held += [torch.full((n,), float("nan"), device=device) for _ in range(6)]
    del held


def fused_case(device: str, index: int, n: int, prefix: int, t: int, d: int, dtype: torch.dtype) -> Case:
    case = to(device, inputs(n, prefix, t, d, dtype, seed=index))
    scalars = dict(zip(("eps", "scale", "shift"), SCALAR_CASES[index % len(SCALAR_CASES)], strict=True))
    poison(device, n, d)
    got = fused_attention_head(**case, **scalars)
    name = f"fused-n{n}-prefix{prefix}-t{t}-d{d}-{str(dtype).removeprefix('torch.')}"
    return errors(name, got, attention_head_oracle(**wide(case), **scalars))


def norm_case(device: str, n: int, prefix: int, t: int, d: int, dtype: torch.dtype) -> Case:
    case = to(device, inputs(n, prefix, t, d, dtype, seed=t))
    tokens = case.pop("tokens").flatten(0, 1)
    g = torch.Generator().manual_seed(d)
    gain, offset = (1 + 0.3 * torch.randn(d, generator=g), torch.randn(d, generator=g))
    arrived = torch.zeros(n, dtype=torch.int32, device=device)
    scalars: Case = {"images": n, "token_eps": 1e-5, "eps": 0.05, "scale": 0.7, "shift": -0.4}
    poison(device, n, d)
    got = norm_attention_head(tokens, (gain.to(device), offset.to(device)), arrived=arrived, **case, **scalars)
    pair = (gain.double(), offset.double())
    expected = norm_attention_head_oracle(tokens.cpu().double(), pair, **wide(case), **scalars)
    name = f"norm-n{n}-prefix{prefix}-t{t}-d{d}-{str(dtype).removeprefix('torch.')}"
    return errors(name, got, expected) | ({} if not arrived.any() else {"logit": float("nan")})


def strided_case(device: str) -> Case:
    """Every second image of a larger tensor, and tokens cut out of longer rows."""
    case = to(device, inputs(6, 5, 30, 192, torch.float32, seed=77))
    case["tokens"] = case["tokens"][::2, 2:28]
    return errors("strided", fused_attention_head(**case, eps=1e-5), attention_head_oracle(**wide(case), eps=1e-5))


def sharp_case(device: str) -> Case:
    """Scores hundreds apart, far below zero first: a softmax that forgets its maximum overflows or divides by zero."""
    case = to(device, inputs(2, 5, 41, 192, torch.float32, seed=5, sharp=1.0))
    case["tokens"] *= torch.linspace(1.0, 300.0, 41, device=device)[None, :, None]
    got = fused_attention_head(**case, eps=1e-5)
    expected = attention_head_oracle(**wide(case), eps=1e-5)
    size = expected[1].abs().max()
    return errors("sharp", (got[0], got[1] / size.to(got[1])), (expected[0], expected[1] / size))


def lost_case(device: str) -> Case:
    """A token that is not a number must show in the answer, wherever its score would have put it."""
    case = to(device, inputs(1, 5, 41, 192, torch.float32, seed=6))
    case["tokens"][0, 30, 7] = float("nan")
    logits, _ = fused_attention_head(**case, eps=1e-5)
    return {"case": "lost", "finite": bool(torch.isfinite(logits).any())}


def invariance_case(device: str, t: int, d: int, dtype: torch.dtype) -> Case:
    """The largest difference between an image's answer alone and within a batch: must be 0."""
    case = to(device, inputs(5, 5, t, d, dtype, seed=99))
    batch = fused_attention_head(**case, eps=1e-5)
    tokens = case.pop("tokens")
    alone = [fused_attention_head(tokens=tokens[i : i + 1], **case, eps=1e-5) for i in range(5)]
    worst = max((torch.cat([a[k] for a in alone]) - batch[k]).abs().max().item() for k in (0, 1))
    return {"case": f"invariance-t{t}-d{d}", "logit": worst, "pooled": worst}


def cases(device: str) -> Iterator[Case]:
    shapes = CUDA_SHAPES if device == "cuda" else CPU_SHAPES
    for index, (shape, dtype) in enumerate(itertools.product(shapes, DTYPES)):
        yield fused_case(device, index, *shape, dtype)
    for shape in shapes:
        yield norm_case(device, *shape, torch.bfloat16 if device == "cuda" else torch.float32)
    yield from (strided_case(device), sharp_case(device), lost_case(device))
    for t, d in ((201, 768), (2309, 384), (581, 1280)) if device == "cuda" else ((21, 192),):
        yield invariance_case(device, t, d, torch.bfloat16)


if __name__ == "__main__":
    for case in cases(sys.argv[1]):
        print(json.dumps(case))
