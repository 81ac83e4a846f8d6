"""The fused Triton head against the same formula in eager PyTorch and under torch.compile, on CUDA.

Each version runs inside a CUDA graph, as in service, on tokens that the cache may hold, as after the backbone.
A shape whose answers are wrong reports no speed and fails the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import triton
from harness import RESULTS, Row, machine, report
from streetvision_kernels.head import fused_head
from streetvision_kernels.head_oracle import head_oracle

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WIDTHS = (384, 768, 1024)
TOKENS, PREFIX = 201, 5
TOLERANCE = 1e-5


def inputs(n: int, d: int) -> dict[str, Any]:
    """Fresh random tokens in bfloat16 and a head in float32."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda")

    return {
        "tokens": normal(n, TOKENS, d).bfloat16(),
        "norm_weight": normal(2 * d),
        "norm_bias": normal(2 * d),
        "weight": normal(2 * d) / (2 * d) ** 0.5,
        "bias": normal(1),
        "prefix": PREFIX,
        "eps": 1e-5,
        "scale": 0.8,
        "shift": 0.1,
    }


def error(head: Callable[..., tuple[torch.Tensor, torch.Tensor]], given: dict[str, Any]) -> float:
    """Largest difference from the float64 oracle over logits and embeddings."""
    wide = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor]] = zip(head(**given), head_oracle(**wide), strict=True)
    return max(float((got.double() - expected).abs().max()) for got, expected in pairs)


def microseconds(call: Callable[[], object]) -> float:
    """Median device time of a call replayed from a CUDA graph."""
    return float(triton.testing.do_bench_cudagraph(call, rep=20, return_mode="median")) * 1e3


def measure(n: int, d: int, ceiling: float) -> Row:
    given = inputs(n, d)
    compiled: Callable[..., tuple[torch.Tensor, torch.Tensor]] = torch.compile(head_oracle, dynamic=False)
    worst = error(fused_head, given)
    if not worst <= TOLERANCE:
        sys.exit(f"the fused head is wrong at batch {n}, width {d}: error {worst:.2e}, so it gets no speed")
    compiled(**given)
    fused = microseconds(lambda: fused_head(**given))
    eager = microseconds(lambda: head_oracle(**given))
    inductor = microseconds(lambda: compiled(**given))
    bytes_moved = n * (TOKENS - PREFIX + 1) * d * 2 + n * 2 * d * 4
    row: Row = {"batch": n, "width": d, "fused_us": fused, "compiled_us": inductor, "eager_us": eager}
    row |= {"vs_compiled": inductor / fused, "vs_eager": eager / fused}
    return row | {"floor_us": bytes_moved / ceiling * 1e6, "error": worst}


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a large device-to-device copy: the ceiling for this kernel."""
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    seconds = triton.testing.do_bench(lambda: target.copy_(source), return_mode="median") * 1e-3
    return 2 * source.nbytes / float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for head.json")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The fused head runs on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    torch._dynamo.config.recompile_limit = 64
    where, ceiling = machine(), copy_bandwidth()
    rows = [measure(n, d, ceiling) for d in WIDTHS for n in arguments.batches]
    report("head", f"The fused head ({ceiling / 1e12:.2f} TB/s copy)", rows, where, arguments.results)


if __name__ == "__main__":
    main()
