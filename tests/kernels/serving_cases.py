"""Run the serving kernels on a device over many shapes, print each case's error as JSON: `serving_cases cpu|cuda`.

A program of its own, since Triton decides at import whether it interprets (TRITON_INTERPRET=1, on the CPU) or compiles.
The interpreter multiplies bfloat16 and rounds float8 wrongly, so those run on CUDA alone.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from streetvision_kernels.attention import attention
from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.attention_shapes import Shape
from streetvision_kernels.layer_norm import layer_norm
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle
from streetvision_kernels.norm_head import norm_head
from streetvision_kernels.norm_head_oracle import norm_head_oracle
from streetvision_kernels.patchify import columns_for, patchify
from streetvision_kernels.patchify_oracle import patchify_oracle
from streetvision_kernels.swiglu import swiglu
from streetvision_kernels.swiglu_oracle import swiglu_oracle

Case = dict[str, Any]


def relative(got: torch.Tensor, expected: torch.Tensor) -> float:
    """||got - expected|| / ||expected|| in float64; NaN stays NaN and passes no bound."""
    wide = expected.double().cpu()
    return float((got.double().cpu() - wide).norm() / wide.norm())


def normal(device: str, dtype: torch.dtype, *shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * 1.5 + 0.25).to(dtype).to(device)


def angles(device: str, tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    turn = torch.randn(tokens, 32, generator=torch.Generator().manual_seed(seed)) * 3
    return turn.cos().half().to(device), turn.sin().half().to(device)


def name(kernel: str, dtype: torch.dtype, *sizes: int) -> str:
    """Kernel, dtype and sizes, as tests take them apart."""
    return "-".join([kernel, str(dtype).removeprefix("torch."), *map(str, sizes)])


def norm_case(device: str, rows: int, width: int, dtype: torch.dtype, out: torch.dtype) -> Case:
    x = normal(device, dtype, rows, width, seed=rows + width)
    gain, offset = (normal(device, torch.float32, width, seed=seed) for seed in (1, 2))
    got = torch.full((rows, width), float("nan"), device=device).to(out)
    small = out == torch.float8_e4m3fn
    layer_norm(x, gain, offset, got, eps=1e-5, inverse8=16.0 if small else 1.0)
    expected = layer_norm_oracle(x.double(), gain.double(), offset.double(), eps=1e-5)
    return {"case": name("norm", out, rows, width), "error": relative(got.float() / (16 if small else 1), expected)}


def attention_case(
    device: str,
    images: int,
    tokens: int,
    heads: int,
    dtype: torch.dtype,
    out: torch.dtype,
    block: tuple[int, int] | None,
    *,
    apart: bool | None = None,
    turned: bool = True,
) -> Case:
    """`block` is a program's queries and the keys that it meets at once; None leaves them to the kernel, as `apart`.

    `turned` is with rotary positions.
    """
    qkv = normal(device, dtype, images * tokens, 192 * heads, seed=tokens + 1)
    cos, sin = angles(device, tokens, seed=heads) if turned else (None, None)
    got = torch.full((images * tokens, 64 * heads), float("nan"), device=device).to(out)
    small = out == torch.float8_e4m3fn
    wish: dict[str, Any] = {} if block is None else {"shape": Shape(block[0], 2), "keys": block[1]}
    attention(qkv, cos, sin, got, tokens=tokens, inverse8=64.0 if small else 1.0, apart=apart, **wish)
    wide = [None if turn is None else turn.double() for turn in (cos, sin)]
    expected = attention_oracle(qkv.double(), *wide, tokens=tokens)
    error = relative(got.float() / (64 if small else 1), expected)
    kernel = "attention_apart" if apart else "attention"
    return {"case": name(kernel, out, images, tokens, heads, *(block or ())), "error": error}


def swiglu_case(device: str, rows: int, hidden: int, dtype: torch.dtype, out: torch.dtype) -> Case:
    x = normal(device, dtype, rows, 2 * hidden, seed=hidden)
    got = torch.full((rows, hidden), float("nan"), device=device).to(out)
    small = out == torch.float8_e4m3fn
    swiglu(x, got, inverse8=16.0 if small else 1.0)
    error = relative(got.float() / (16 if small else 1), swiglu_oracle(x.double()))
    return {"case": name("swiglu", out, rows, hidden), "error": error}


def patchify_case(device: str, images: int, side: int, prefix: int, dtype: torch.dtype) -> Case:
    """Exact: whole numbers of 8 bits."""
    generator = torch.Generator().manual_seed(side)
    pixels = torch.randint(0, 256, (images, side, side, 3), generator=generator, dtype=torch.uint8).to(device)
    columns = columns_for(prefix)
    got = torch.full((images * ((side // 16) ** 2 + prefix), columns), float("nan"), device=device).to(dtype)
    patchify(pixels, got, prefix=prefix)
    wrong = (got.float() != patchify_oracle(pixels, prefix=prefix, columns=columns)).sum().item()
    return {"case": name("patchify", dtype, images, side, prefix), "error": float(wrong)}


def head_case(device: str, images: int, tokens: int, width: int, prefix: int, dtype: torch.dtype) -> Case:
    x = normal(device, dtype, images * tokens, width, seed=width)
    gain, offset = (normal(device, torch.float32, width, seed=seed) for seed in (1, 2))
    vectors = [normal(device, torch.float32, 2 * width, seed=seed) / width**0.5 for seed in (3, 4, 5)]
    bias, arrived = normal(device, torch.float32, 1, seed=6), torch.zeros(images, dtype=torch.int32, device=device)
    scalars: dict[str, Any] = {"prefix": prefix, "eps": 0.05, "scale": 0.7, "shift": -0.4}
    logits, pooled = norm_head(x, (gain, offset), *vectors, bias, arrived, images=images, token_eps=1e-5, **scalars)
    wide = [v.double() for v in (*vectors, bias)]
    expected = norm_head_oracle(
        x.double(),
        (gain.double(), offset.double()),
        images=images,
        token_eps=1e-5,
        **dict(zip(("norm_weight", "norm_bias", "weight", "bias"), wide, strict=True)),
        **scalars,
    )
    error = max(relative(logits, expected[0]), relative(pooled, expected[1]))
    left = int(arrived.abs().sum())
    return {"case": name("head", dtype, images, tokens, width, prefix), "error": error if left == 0 else float("nan")}


def cases(device: str) -> Iterator[Case]:
    yield from (cuda_cases() if device == "cuda" else cpu_cases())


def cpu_cases() -> Iterator[Case]:
    kinds = (torch.float32, torch.float16)
    for rows, width, out in itertools.product((1, 7), (192, 384, 768, 1024), kinds):
        yield norm_case("cpu", rows, width, out, out)
    for shape, dtype in itertools.product(((2, 41, 3), (1, 7, 1), (1, 64, 2), (1, 70, 2)), kinds):
        yield attention_case("cpu", *shape, dtype, dtype, (16, 32))
        yield attention_case("cpu", *shape, dtype, dtype, (16, 32), apart=True)
    yield attention_case("cpu", 1, 70, 2, torch.float32, torch.float32, None)
    for (rows, hidden), dtype in itertools.product(((1, 5120), (3, 1100)), kinds):
        yield swiglu_case("cpu", rows, hidden, dtype, dtype)
    for shape in ((2, 48, 5), (1, 32, 1)):
        yield patchify_case("cpu", *shape, torch.float32)
    for sizes in ((2, 41, 192, 5), (1, 6, 384, 5), (3, 17, 128, 1)):
        yield head_case("cpu", *sizes, torch.float32)


def cuda_cases() -> Iterator[Case]:
    bf16, fp16, fp8 = torch.bfloat16, torch.float16, torch.float8_e4m3fn
    for rows, width in ((1, 192), (7, 384), (5000, 384), (3, 768), (5000, 1024)):
        for out in (bf16, fp8):
            yield norm_case("cuda", rows, width, bf16, out)
    yield norm_case("cuda", 7, 768, fp16, fp16)
    for shape in (
        (1, 201, 6),
        (3, 201, 3),
        (30, 201, 12),
        (2, 41, 12),
        (1, 7, 1),
        (2, 261, 2),
        (1, 789, 16),
        (2, 2309, 6),
    ):
        for out in (bf16, fp8):
            yield attention_case("cuda", *shape, bf16, out, None)
            yield attention_case("cuda", *shape, bf16, out, None, apart=True)
    yield attention_case("cuda", 3, 201, 3, fp16, fp16, None)
    yield attention_case("cuda", 3, 201, 3, bf16, bf16, (128, 128))
    for (rows, hidden), out in itertools.product(((1, 5120), (603, 1536), (2309, 512)), (bf16, fp8)):
        yield swiglu_case("cuda", rows, hidden, bf16, out)
    for shape in ((1, 224, 5), (5, 224, 5), (2, 48, 1), (1, 256, 9)):
        yield patchify_case("cuda", *shape, bf16)
    yield patchify_case("cuda", 3, 64, 5, fp16)
    for sizes in ((1, 201, 384, 5), (3, 201, 768, 5), (130, 201, 1024, 5), (2, 6, 192, 5), (2, 17, 192, 1)):
        yield head_case("cuda", *sizes, bf16)
    yield head_case("cuda", 3, 201, 384, 5, fp16)


if __name__ == "__main__":
    for case in cases(sys.argv[1]):
        print(json.dumps(case))
