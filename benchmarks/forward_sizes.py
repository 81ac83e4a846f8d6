"""The serving forward at larger inputs against timm's DINOv3 compiled, on CUDA: 224 to 768 pixels, bfloat16 and float8.

The baseline is the fallback of this project: timm in bfloat16 with a fixed image size, its blocks under torch.compile,
the whole of it in one CUDA graph. Ours is one CUDA graph too, as in service. Images are on the device already. Weights
are random, with a layer scale that lets every block matter; each answer is compared with timm's in float32 first, and a
wrong one gets no speed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from forward import LAYER_SCALE, WIDTHS, WORST, Forward, distance, graphed, seconds
from harness import RESULTS, Row, machine, report

from streetvision.models.config import HeadConfig
from streetvision.models.dinov3 import StreetVisionNet, build, tiny_config
from streetvision.runner.cuda_forward import FastForward, has_float8
from streetvision.runner.cuda_graphs import compile_net, compiling

SIDES = (224, 320, 384, 512, 768)
BATCHES = (1, 32)
HEADS = {"cls_mean_linear": 2, "cls_mean_attention": 3}
"""Widths of an embedding."""


def network(size: str, side: int, head: str) -> StreetVisionNet:
    """A random DINOv3 of that size and input in float32 on the device."""
    config = replace(
        tiny_config(),
        architecture=f"vit_{size}_patch16_dinov3",
        architecture_kwargs={"init_values": LAYER_SCALE},
        input_size=side,
        head=HeadConfig(head, HEADS[head] * WIDTHS[size]),
    )
    torch.manual_seed(0)
    return build(config).cuda().eval().requires_grad_(False)


def measure(size: str, side: int, batches: list[int], head: str) -> list[Row]:
    """Rows of one model at one input."""
    net, device = network(size, side, head), torch.device("cuda")
    pool = torch.randint(0, 256, (max(batches), side, side, 3), dtype=torch.uint8, device="cuda")
    truth = torch.cat([net.forward_uint8(part)[1] for part in pool.split(4)])  # type: ignore[no-untyped-call]  # torch's gap
    forwards: dict[str, Forward] = {"bf16": FastForward(net, device)}
    if has_float8(device):
        peaks = FastForward(net, device).observe([pool[:32]])
        forwards["fp8"] = FastForward(net, device, peaks=peaks)
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


def warm(sizes: list[str], sides: list[int], batches: list[int], head: str) -> None:
    """Compile every baseline in a process of its own, all at once: the measuring process finds them in the cache."""
    options = ["--only-compile", "--head", head, "--batches", *map(str, batches)]
    alone = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # each would start as many workers as there are cores
    jobs = [
        subprocess.Popen([sys.executable, __file__, *options, "--models", size, "--sides", str(side)], env=alone)
        for size, side in itertools.product(sizes, sides)
    ]
    for job in jobs:
        job.wait()


def compile_only(size: str, side: int, batches: list[int], head: str) -> None:
    """Fill the compiler's cache."""
    forward = compile_net(network(size, side, head).for_inference("cuda", torch.bfloat16))
    with compiling():
        for batch in batches:
            forward(torch.zeros(batch, side, side, 3, dtype=torch.uint8, device="cuda"))


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
    parser.add_argument("--only-compile", action="store_true", help="fill the compiler's cache and measure nothing")
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
