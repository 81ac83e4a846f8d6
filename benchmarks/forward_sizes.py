"""The serving forward at larger inputs against timm's DINOv3 compiled, on CUDA: 224 to 768 pixels, bfloat16 and float8.

The baseline is the fallback of this project: timm in bfloat16 with a fixed image size, its blocks under torch.compile,
the whole of it in one CUDA graph. Ours is one CUDA graph too, as in service. Images are on the device already. Weights
are random, with a layer scale that lets every block matter; each answer is compared with timm's in float32 first, and a
wrong one gets no speed.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from forward import WIDTHS, WORST, Forward, distance, graphed, network, seconds
from harness import RESULTS, Row, machine, report

from streetvision.runner.cuda_forward import FastForward, has_float8
from streetvision.runner.cuda_graphs import compile_net, compiling

SIDES = (224, 320, 384, 512, 768)
BATCHES = (1, 32)
HEADS = ("cls_mean_linear", "cls_mean_attention")


def measure(size: str, side: int, batches: list[int], head: str) -> list[Row]:
    """Rows of one model at one input."""
    net, device = network(size, side, head), torch.device("cuda")
    pool = torch.randint(0, 256, (max(batches), side, side, 3), dtype=torch.uint8, device="cuda")
    truth = torch.cat([net.forward_uint8(part)[1] for part in pool.split(4)])  # type: ignore[no-untyped-call]  # torch's gap
    fast = FastForward(net, device)
    forwards: dict[str, Forward] = {"bf16": fast}
    if has_float8(device):
        forwards["fp8"] = FastForward(net, device, peaks=fast.observe([pool[:32]]))
    net.for_inference("cuda", torch.bfloat16)
    forwards["timm"] = compile_net(net)
    rows: list[Row] = []
    for batch in batches:
        images = pool[:batch].clone()
        with compiling():
            graphs = {name: graphed(forward, images) for name, forward in forwards.items()}
        errors = {name: distance(run(images), truth[:batch]) for name, run in graphs.items()}
        wrong = {name: error for name, error in errors.items() if not error <= WORST[name]}
        if wrong:
            sys.exit(f"{size} at {side} pixels, batch {batch}, is wrong: {wrong}, so it gets no speed")
        times = {name: seconds(partial(run, images)) for name, run in graphs.items()}
        rows += [_row(size, side, batch, name, times, errors) for name in times]
    return rows


def _row(size: str, side: int, batch: int, name: str, times: dict[str, float], errors: dict[str, float]) -> Row:
    return {
        "model": size,
        "side": side,
        "batch": batch,
        "forward": name,
        "ms": times[name] * 1e3,
        "images_per_s": batch / times[name],
        "times_timm": times["timm"] / times[name],
        "error": errors[name],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for forward_sizes.json")
    parser.add_argument("--models", nargs="+", choices=WIDTHS, default=["small", "base"])
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--head", choices=HEADS, default="cls_mean_attention")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The serving forward runs on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    rows: list[Row] = []
    with torch.inference_mode():
        where = machine()
        for size in arguments.models:
            for side in arguments.sides:
                rows += measure(size, side, arguments.batches, arguments.head)
                torch.compiler.reset()
            # After every model: a run that is cut short has lost little.
            report(
                "forward_sizes", "The forward at larger inputs against timm compiled", rows, where, arguments.results
            )


if __name__ == "__main__":
    main()
