"""Run what SigLIP adds to the kernels over shapes, print each case's error as JSON: `siglip_cases cpu|cuda`.

A program of its own, since Triton decides at import whether it interprets (TRITON_INTERPRET=1, on the CPU) or compiles.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from streetvision_kernels.class_head import class_head
from streetvision_kernels.class_head_oracle import class_head_oracle
from streetvision_kernels.latent_pool import latent_pool
from streetvision_kernels.latent_pool_oracle import latent_pool_oracle
from streetvision_kernels.patchify import columns_for, patchify

from .serving_cases import Case, attention_case, name, normal, relative


def pool_case(device: str, images: int, tokens: int, heads: int, dtype: torch.dtype) -> Case:
    width = 64 * heads
    x = normal(device, dtype, images * tokens, width, seed=tokens)
    gain, offset = (normal(device, torch.float32, width, seed=seed) for seed in (1, 2))
    queries = normal(device, torch.float32, heads, width, seed=3) * (1.5 / width**0.5)
    values = normal(device, dtype, width, width, seed=4) / width**0.5
    got = latent_pool(x, (gain, offset), queries, values, images=images, eps=1e-6)
    beyond = int(got[images:].count_nonzero()) + len(got) % 64
    wide = [value.double() for value in (gain, offset, queries, values)]
    expected = latent_pool_oracle(x.double(), (wide[0], wide[1]), wide[2], wide[3], images=images, eps=1e-6)
    error = relative(got[:images], expected) if beyond == 0 else float("nan")
    return {"case": name("pool", dtype, images, tokens, heads), "error": error}


def positions_case(device: str, images: int, side: int, width: int, dtype: torch.dtype) -> Case:
    """Exact copies."""
    tokens = (side // 16) ** 2
    pixels = torch.zeros(images, side, side, 3, dtype=torch.uint8, device=device)
    positions = normal(device, dtype, tokens, width, seed=side)
    rows = torch.empty(images * tokens, columns_for(0), device=device, dtype=dtype)
    stream = torch.full((images * tokens, width), float("nan"), device=device).to(dtype)
    patchify(pixels, rows, prefix=0, positions=positions, stream=stream)
    wrong = (stream != positions.repeat(images, 1)).sum().item()
    return {"case": name("positions", dtype, images, side, width), "error": float(wrong)}


def head_case(device: str, images: int, width: int, classes: int, unit: bool, dtype: torch.dtype) -> Case:
    x = normal(device, dtype, images, width, seed=width)
    weight = normal(device, torch.float32, classes, width, seed=classes) * (20 if unit else width**-0.5)
    bias = normal(device, torch.float32, classes, seed=5)
    positive = (torch.arange(classes, device=device) % 3 == 0).float()
    scalars: dict[str, Any] = {"scale": 0.7, "shift": -0.4}
    logits, embedding = class_head(x, weight, bias, positive, unit=unit, **scalars)
    wide = [value.double() for value in (x, weight, bias, positive)]
    expected = class_head_oracle(*wide, unit=unit, **scalars)
    error = max(relative(logits, expected[0]), relative(embedding, expected[1]))
    return {"case": name("unit" if unit else "head", dtype, images, width, classes), "error": error}


def cpu_cases() -> Iterator[Case]:
    kinds = (torch.float32, torch.float16)
    for shape, dtype in itertools.product(((2, 41, 3), (1, 7, 1), (1, 64, 2), (1, 70, 2)), kinds):
        yield attention_case("cpu", *shape, dtype, dtype, (16, 32), turned=False)
    for shape, dtype in itertools.product(((2, 41, 3), (1, 64, 1), (3, 70, 2), (1, 16, 12)), kinds):
        yield pool_case("cpu", *shape, dtype)
    yield positions_case("cpu", 3, 48, 192, torch.float32)
    for unit in (False, True):
        for sizes in ((2, 192, 1), (1, 64, 2), (3, 128, 8), (2, 192, 21)):
            yield head_case("cpu", *sizes, unit, torch.float32)


def cuda_cases() -> Iterator[Case]:
    bf16, fp16, fp8 = torch.bfloat16, torch.float16, torch.float8_e4m3fn
    for shape in ((1, 196, 6), (3, 196, 12), (30, 196, 12), (2, 16, 1), (1, 576, 16), (2, 1024, 12)):
        for out in (bf16, fp8):
            yield attention_case("cuda", *shape, bf16, out, None, turned=False)
    yield attention_case("cuda", 3, 196, 3, fp16, fp16, None, turned=False)
    for shape in ((1, 196, 12), (3, 196, 12), (130, 196, 12), (17, 256, 16), (2, 1024, 12), (1, 16, 1)):
        yield pool_case("cuda", *shape, bf16)
    yield pool_case("cuda", 3, 196, 6, fp16)
    yield positions_case("cuda", 5, 224, 768, bf16)
    for unit in (False, True):
        for sizes in ((1, 768, 1), (130, 768, 40), (3, 1024, 2), (5, 192, 1000)):
            yield head_case("cuda", *sizes, unit, bf16)


if __name__ == "__main__":
    for case in cuda_cases() if sys.argv[1] == "cuda" else cpu_cases():
        print(json.dumps(case))
