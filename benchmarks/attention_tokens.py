"""The attention kernel over more tokens: keys rotated within it, or before it, and torch's attention, on CUDA.

`within` and `apart` are the kernel's two ways, the rotation included in both; `rotate` is that pass by itself.
FlashAttention and cuDNN's attention get queries and keys that are rotated already: add `rotate` to compare. An answer
that is far from its formula in float64 gets no speed and ends the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from harness import RESULTS, Row, machine, report
from replayed import side_by_side
from streetvision_kernels.attention import APART_FROM, attention
from streetvision_kernels.attention_checks import FACTOR, HEAD
from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.patchify import PATCH
from streetvision_kernels.rotate import rotate
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SIDES = (224, 256, 320, 384, 512, 768)
PREFIX = 5
BOUND = 5e-3
"""Relative distance from float64, as in tests/gpu."""
RIVALS = {"flash_us": SDPBackend.FLASH_ATTENTION, "cudnn_us": SDPBackend.CUDNN_ATTENTION}


def rivals(turned: torch.Tensor, qkv: torch.Tensor, tokens: int) -> dict[str, Callable[[], object]]:
    """Torch's attention on rotated queries and keys; one that this build lacks is left out."""
    heads = qkv.shape[1] // (3 * HEAD)
    q, k = turned.view(-1, tokens, 2, heads, HEAD).permute(2, 0, 3, 1, 4)
    v = qkv.view(-1, tokens, 3, heads, HEAD)[:, :, 2].transpose(1, 2)

    def call(backend: SDPBackend) -> torch.Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, scale=1.0)

    found: dict[str, Callable[[], object]] = {}
    for name, backend in RIVALS.items():
        try:
            call(backend)
        except RuntimeError as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
        else:
            found[name] = partial(call, backend)
    return found


def measure(images: int, width: int, side: int) -> Row:
    """One size: microseconds of every way."""
    tokens = (side // PATCH) ** 2 + PREFIX
    turn = torch.randn(tokens, HEAD // 2, device="cuda") * 3
    cos, sin = turn.cos().half(), turn.sin().half()
    qkv = torch.randn(images * tokens, 3 * width, device="cuda").bfloat16()
    out = torch.empty(images * tokens, width, dtype=torch.bfloat16, device="cuda")
    ways = {"within_us": False, "apart_us": True}
    calls: dict[str, Callable[[], object]] = {
        name: partial(attention, qkv, cos, sin, out, tokens=tokens, apart=apart) for name, apart in ways.items()
    }
    exact = attention_oracle(qkv[:tokens].double(), cos.double(), sin.double(), tokens=tokens)
    for name, call in calls.items():
        call()
        error = float((out[:tokens].double() - exact).norm() / exact.norm())
        if not error <= BOUND:
            sys.exit(f"{name} is wrong at {side} pixels, width {width}: error {error:.2e}; it gets no speed")
    turned = rotate(qkv, cos, sin, tokens=tokens, factor=FACTOR)
    calls["rotate_us"] = partial(rotate, qkv, cos, sin, tokens=tokens, factor=FACTOR)
    times = side_by_side(calls | rivals(turned, qkv, tokens))
    chosen = "apart" if tokens >= APART_FROM else "within"
    place: Row = {"side": side, "tokens": tokens, "batch": images, "width": width, "chosen": chosen}
    return place | times | {"tflops": 4e-6 * images * width * tokens**2 / times[f"{chosen}_us"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for attention_tokens.json")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 768])
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The attention kernel runs on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    where = machine()
    rows = [measure(n, d, side) for side in arguments.sides for d in arguments.widths for n in arguments.batches]
    report("attention_tokens", "The attention over more tokens", rows, where, arguments.results)


if __name__ == "__main__":
    main()
