"""The serving kernels against their formulas, eager and under torch.compile, and the attention's shapes, on CUDA.

Everything runs inside a CUDA graph, each launch after the last has ended. Service launches these kernels while the last
one ends (programmatically), but there that is another kernel; launches of one that overlap each other tell nothing. A
kernel whose answers are far from its formula in float64 gets no speed and ends the run. The second table
(serving_kernels-shapes.json) times every shape that the model of the chip lets the general attention try: how well the
model ranks them, and what trying them is worth; on Hopper the kernel for few tokens, which serves there, beside them.
Where the device's time goes in a whole forward is forward.py's to say, and the heads have head.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from harness import RESULTS, Row, machine, report
from replayed import beside_its_formula, copy_bandwidth, side_by_side
from streetvision_kernels.attention import attention, chosen_shape
from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.attention_shapes import predicted_us, ranked
from streetvision_kernels.chip import chip_of
from streetvision_kernels.layer_norm import layer_norm
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle
from streetvision_kernels.patchify import columns_for, patchify
from streetvision_kernels.patchify_oracle import patchify_oracle
from streetvision_kernels.short_attention import fits

from streetvision.runner.cuda_forward import has_float8

BATCHES = (1, 8, 32, 128)
WIDTHS = (384, 768, 1024)
TOKENS, PREFIX, SIDE, HEAD = 201, 5, 224, 64
BOUNDS = {torch.bfloat16: 5e-3, torch.float8_e4m3fn: 3e-2}
"""Relative distance from float64, as in tests/gpu."""
SCALE8 = 16.0
"""What answers are multiplied by before they are rounded to float8."""
FEW = "few tokens"
DEVICE = torch.device("cuda")


@dataclass(frozen=True)
class Case:
    """A kernel on inputs of one size."""

    name: str
    images: int
    width: int | None
    launch: Callable[[], object]
    out: torch.Tensor
    """What it writes, `scale` times the answer."""
    formula: Callable[..., torch.Tensor]
    given: tuple[torch.Tensor, ...]
    """What the formula takes."""
    scale: float = 1.0


def normal(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE).to(dtype)


def angles() -> tuple[torch.Tensor, torch.Tensor]:
    turn = torch.randn(TOKENS, HEAD // 2, device=DEVICE) * 3
    return turn.cos().half(), turn.sin().half()


def patchify_case(images: int) -> Case:
    pixels = torch.randint(0, 256, (images, SIDE, SIDE, 3), dtype=torch.uint8, device=DEVICE)
    columns = columns_for(PREFIX)
    out = torch.empty(images * TOKENS, columns, dtype=torch.bfloat16, device=DEVICE)
    launch = partial(patchify, pixels, out, prefix=PREFIX)
    return Case(
        "patchify", images, None, launch, out, partial(patchify_oracle, prefix=PREFIX, columns=columns), (pixels,)
    )


def cases(images: int, width: int, kind: torch.dtype) -> Iterator[Case]:
    """LayerNorm and attention with answers of that kind."""
    rows, scale = images * TOKENS, SCALE8 if kind == torch.float8_e4m3fn else 1.0
    name = str(kind).removeprefix("torch.")
    x, gain, offset = normal(rows, width), *(normal(width, dtype=torch.float32) for _ in range(2))
    out = torch.empty(rows, width, dtype=kind, device=DEVICE)
    launch = partial(layer_norm, x, gain, offset, out, eps=1e-5, inverse8=scale)
    formula = partial(layer_norm_oracle, eps=1e-5)
    yield Case(f"layer_norm {name}", images, width, launch, out, formula, (x, gain, offset), scale)
    qkv, (cos, sin) = normal(rows, 3 * width), angles()
    launch = partial(attention, qkv, cos, sin, out, tokens=TOKENS, inverse8=scale)
    formula = partial(attention_oracle, tokens=TOKENS)
    yield Case(f"attention {name}", images, width, launch, out, formula, (qkv, cos, sin), scale)


def measure(case: Case, ceiling: float) -> Row:
    case.launch()
    exact = case.formula(*(t.double() if t.is_floating_point() else t for t in case.given)).double()
    error = float((case.out.double() / case.scale - exact).norm() / exact.norm())
    if not error <= BOUNDS[case.out.dtype]:
        sys.exit(
            f"{case.name} is wrong at batch {case.images}, width {case.width}: error {error:.2e}; it gets no speed"
        )
    times = beside_its_formula(case.launch, partial(case.formula, *case.given))
    moved = case.out.nbytes + case.given[0].nbytes
    return {
        "kernel": case.name,
        "batch": case.images,
        "width": case.width,
        **times,
        "vs_compiled": times["compiled_us"] / times["fused_us"],
        "vs_eager": times["eager_us"] / times["fused_us"],
        "floor_us": moved / ceiling * 1e6,
        "error": error,
    }


def shapes(images: int, width: int) -> Iterator[Row]:
    """Every shape that is tried, in the model's order."""
    qkv, (cos, sin) = normal(images * TOKENS, 3 * width), angles()
    out = torch.empty(images * TOKENS, width, dtype=torch.bfloat16, device=DEVICE)
    call = partial(attention, qkv, cos, sin, out, tokens=TOKENS)
    call()
    few = fits(qkv, tokens=TOKENS)
    chosen = chosen_shape(qkv, out, tokens=TOKENS)
    chip, places = chip_of(DEVICE), images * width // HEAD
    tried = ranked(chip, places=places, tokens=TOKENS)
    times = side_by_side({str(shape): partial(call, shape=shape) for shape in tried} | ({FEW: call} if few else {}))
    if few:
        yield {"batch": images, "width": width, "queries": FEW, "us": times[FEW], "chosen": "yes"}
    for place, shape in enumerate(tried, start=1):
        yield {
            "batch": images,
            "width": width,
            "place by the model": place,
            "queries": shape.queries,
            "stages": shape.stages,
            "registers": shape.registers,
            "predicted_us": predicted_us(chip, shape, places=places, tokens=TOKENS),
            "us": times[str(shape)],
            "chosen": "yes" if shape == chosen else "",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the two JSON files")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The serving kernels run on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    torch._dynamo.config.recompile_limit = 256
    where, ceiling = machine(), copy_bandwidth()
    kinds = (torch.bfloat16, torch.float8_e4m3fn) if has_float8(DEVICE) else (torch.bfloat16,)
    rows = [measure(patchify_case(n), ceiling) for n in arguments.batches]
    for width in arguments.widths:
        for n in arguments.batches:
            rows += [measure(case, ceiling) for kind in kinds for case in cases(n, width, kind)]
    title = f"The serving kernels ({ceiling / 1e12:.2f} TB/s copy)"
    report("serving_kernels", title, rows, where, arguments.results)
    tried = [row for width in arguments.widths for n in arguments.batches for row in shapes(n, width)]
    report("serving_kernels-shapes", "Shapes of the attention's programs", tried, where, arguments.results)


if __name__ == "__main__":
    main()
