"""The fused Triton heads against the same formulas in eager PyTorch and under torch.compile, on CUDA.

`head` pools what the backbone's last norm has left and serves timm's forward; `norm_head` takes that norm in as well
and serves the fast one. `attention_head` and `norm_attention_head` likewise, with patches weighed by a score. Each
version runs inside a CUDA graph, as in service, on tokens that the cache may hold, as after the backbone. A shape whose
answers are wrong reports no speed and fails the run.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import RESULTS, Row, machine, report
from replayed import beside_its_formula, copy_bandwidth
from streetvision_kernels.head import fused_head
from streetvision_kernels.head_attention import fused_attention_head, norm_attention_head
from streetvision_kernels.head_attention_oracle import attention_head_oracle, norm_attention_head_oracle
from streetvision_kernels.head_oracle import head_oracle
from streetvision_kernels.norm_head import norm_head
from streetvision_kernels.norm_head_oracle import norm_head_oracle

Head = Callable[..., tuple[torch.Tensor, torch.Tensor]]
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WIDTHS = (384, 768, 1024)
TOKENS, PREFIX = 201, 5
TOLERANCE = 1e-5
ORACLES: dict[str, Head] = {
    "head": head_oracle,
    "norm_head": norm_head_oracle,
    "attention_head": attention_head_oracle,
    "norm_attention_head": norm_attention_head_oracle,
}
FUSED: dict[str, Head] = {"head": fused_head, "attention_head": fused_attention_head}
WITH_NORM: dict[str, Head] = {"norm_head": norm_head, "norm_attention_head": norm_attention_head}


def parts(name: str) -> int:
    """Widths of an embedding."""
    return 3 if "attention" in name else 2


def inputs(name: str, n: int, d: int, t: int) -> dict[str, Any]:
    """Fresh random tokens in bfloat16 and a head in float32, as this head's oracle takes them."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda")

    tokens, wide = normal(n, t, d).bfloat16(), parts(name) * d
    first: dict[str, Any] = {"tokens": tokens}
    if name in WITH_NORM:
        first = {"tokens": tokens.flatten(0, 1), "token_norm": (normal(d), normal(d)), "token_eps": 1e-5, "images": n}
    if "attention" in name:
        first["score"] = normal(d) * 2 / d**0.5
    return first | {
        "norm_weight": normal(wide),
        "norm_bias": normal(wide),
        "weight": normal(wide) / wide**0.5,
        "bias": normal(1),
        "prefix": PREFIX,
        "eps": 1e-5,
        "scale": 0.8,
        "shift": 0.1,
    }


def ours(name: str, n: int) -> Head:
    if name in FUSED:
        return FUSED[name]
    arrived = torch.zeros(n, dtype=torch.int32, device="cuda")

    def call(**given: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401  # the head's own arguments
        logits, pooled = WITH_NORM[name](arrived=arrived, **given)
        return logits, pooled

    return call


def exact(value: Any) -> Any:  # noqa: ANN401  # tensors, pairs of them and numbers
    """In float64."""
    if isinstance(value, tuple):
        return tuple(exact(part) for part in value)
    return value.double() if isinstance(value, torch.Tensor) else value


def error(head: Head, oracle: Head, given: dict[str, Any]) -> float:
    """Largest difference from the float64 oracle over logits and embeddings."""
    expected = oracle(**{key: exact(value) for key, value in given.items()})
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor]] = zip(head(**given), expected, strict=True)
    return max(float((got.double() - right).abs().max()) for got, right in pairs)


def measure(name: str, n: int, d: int, t: int, ceiling: float) -> Row:
    given, head, oracle = inputs(name, n, d, t), ours(name, n), ORACLES[name]
    worst = error(head, oracle, given)
    if not worst <= TOLERANCE:
        sys.exit(f"{name} is wrong at batch {n}, width {d}, {t} tokens: error {worst:.2e}, so it gets no speed")
    times = beside_its_formula(partial(head, **given), partial(oracle, **given))
    bytes_moved = n * (t if name in WITH_NORM else t - PREFIX + 1) * d * 2 + n * parts(name) * d * 4
    row: Row = {"head": name, "batch": n, "width": d, "tokens": t, **times}
    row["vs_compiled (goal 1.5)"] = times["compiled_us"] / times["fused_us"]
    row["vs_eager (goal 5)"] = times["eager_us"] / times["fused_us"]
    return row | {"floor_us": bytes_moved / ceiling * 1e6, "error": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for head.json")
    parser.add_argument("--heads", nargs="+", choices=list(ORACLES), default=list(ORACLES))
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--tokens", type=int, nargs="+", default=[TOKENS])
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The fused head runs on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    torch._dynamo.config.recompile_limit = 64
    where, ceiling = machine(), copy_bandwidth()
    rows: list[Row] = []
    for name in arguments.heads:
        shapes = itertools.product(arguments.tokens, arguments.widths, arguments.batches)
        rows += [measure(name, n, d, t, ceiling) for t, d, n in shapes]
        # After every head: a run that is cut short has lost little.
        report("head", f"The fused heads ({ceiling / 1e12:.2f} TB/s copy)", rows, where, arguments.results)


if __name__ == "__main__":
    main()
