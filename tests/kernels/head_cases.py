"""Run the fused head on a device over many shapes and print each case's errors as JSON: `head_cases cpu|cuda`.

A program of its own, since Triton decides at import whether it interprets (TRITON_INTERPRET=1, on the CPU) or compiles.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import torch
from streetvision_kernels.head import fused_head
from streetvision_kernels.head_oracle import head_oracle

Tensors = tuple[torch.Tensor, torch.Tensor]

WIDTHS = (192, 384, 768, 1024)
TOKENS = ((5, 201), (1, 197), (5, 6), (1, 2), (5, 38), (3, 70))
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SCALAR_CASES = ((1e-5, 1.0, 0.0), (0.3, 0.6, -0.8), (1e-6, 2.5, 1.5))


def inputs(n: int, prefix: int, t: int, d: int, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    """Random tokens around a non-zero mean and a random head, so that no term can vanish unnoticed."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    return {
        "tokens": (normal(n, t, d) + 0.5 * normal(1, 1, d) + 0.25).to(dtype),
        "norm_weight": 1 + 0.3 * normal(2 * d),
        "norm_bias": 0.3 * normal(2 * d),
        "weight": normal(2 * d) / (2 * d) ** 0.5,
        "bias": normal(1),
        "prefix": prefix,
    }


def to(device: str, case: dict[str, Any]) -> dict[str, Any]:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in case.items()}


def reference(case: dict[str, Any], **scalars: float) -> Tensors:
    """The oracle in float64 on the CPU, from the same rounded inputs."""
    wide = {k: v.cpu().double() if isinstance(v, torch.Tensor) else v for k, v in case.items()}
    logits, pooled = head_oracle(**wide, **scalars)
    return logits, pooled


def errors(got: Tensors, expected: Tensors) -> dict[str, float]:
    return {
        "logit": (got[0].cpu().double() - expected[0]).abs().max().item(),
        "pooled": (got[1].cpu().double() - expected[1]).abs().max().item(),
    }


def poison(device: str, n: int, d: int) -> None:
    """Leave NaN and wrong counts in the memory that the next call's outputs are likely to get."""
    held = [torch.full((n, 2 * d), float("nan"), device=device) for _ in range(3)]
    held += [torch.full((n,), float("nan"), device=device) for _ in range(6)]
    del held


def run_case(device: str, index: int, n: int, prefix: int, t: int, d: int, dtype: torch.dtype) -> dict[str, Any]:
    case = to(device, inputs(n, prefix, t, d, dtype, seed=index))
    eps, scale, shift = SCALAR_CASES[index % len(SCALAR_CASES)]
    poison(device, n, d)
    got = fused_head(**case, eps=eps, scale=scale, shift=shift)
    name = f"n{n}-prefix{prefix}-t{t}-d{d}-{str(dtype).removeprefix('torch.')}"
    return {"case": name, **errors(got, reference(case, eps=eps, scale=scale, shift=shift))}


def strided_case(device: str) -> dict[str, Any]:
    """Every second image of a larger tensor, and tokens cut out of longer rows."""
    case = to(device, inputs(6, 5, 30, 192, torch.float32, seed=77))
    case["tokens"] = case["tokens"][::2, 2:28]
    got = fused_head(**case, eps=1e-5)
    return {"case": "strided", **errors(got, reference(case, eps=1e-5))}


def invariance_case(device: str, d: int, dtype: torch.dtype) -> dict[str, Any]:
    """The largest difference between an image's answer alone and within a batch: must be 0."""
    case = to(device, inputs(5, 5, 201 if device == "cuda" else 21, d, dtype, seed=99))
    batch = fused_head(**case, eps=1e-5)
    tokens = case.pop("tokens")
    alone = [fused_head(tokens=tokens[i : i + 1], **case, eps=1e-5) for i in range(5)]
    worst = max((torch.cat([a[k] for a in alone]) - batch[k]).abs().max().item() for k in (0, 1))
    return {"case": f"invariance-d{d}", "logit": worst, "pooled": worst}


def main(device: str) -> None:
    grid = list(itertools.product((1, 3), TOKENS, WIDTHS, DTYPES))
    served = [g for g in grid if g[:2] == (3, (5, 201))]
    chosen = served + [g for g in grid[::5] if g not in served]
    for index, (n, (prefix, t), d, dtype) in enumerate(chosen):
        print(json.dumps(run_case(device, index, n, prefix, t, d, dtype)))
    print(json.dumps(strided_case(device)))
    for d in WIDTHS if device == "cuda" else (192,):
        print(json.dumps(invariance_case(device, d, torch.bfloat16)))


if __name__ == "__main__":
    main(sys.argv[1])
