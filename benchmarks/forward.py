"""The serving forward against timm's DINOv3 under torch.compile, on CUDA: bfloat16 and float8, S, B and L.

The baseline, `timm`, is the model as timm makes it, in bfloat16 under torch.compile(mode="reduce-overhead"), with an
eager head. `static` is the same with the image size fixed, so that the RoPE table is a constant: what this project
trains and falls back to. Ours is one CUDA graph, as in service. Images are on the device already. Weights are random
(speed does not depend on them), with a layer scale that lets every block matter; each answer is compared with timm's in
float32 first, and a wrong one gets no speed.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from harness import RESULTS, Row, machine, report
from torch.profiler import ProfilerActivity, profile

from streetvision.models.config import HeadConfig
from streetvision.models.heads import head_kind
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.runner.cuda_forward import FastForward, has_float8
from streetvision.runner.cuda_graphs import capture

WIDTHS = {"small": 384, "base": 768, "large": 1024}
BATCHES = (1, 8, 32, 128)
LAYER_SCALE = 0.1
ROUNDS = 5
ROUND_SECONDS = 0.15
WORST = {"timm": 0.05, "static": 0.05, "bf16": 0.05, "fp8": 0.15}
"""Largest relative distance of the embeddings from float32's that still counts as right."""

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def network(size: str, side: int = 224, kind: str = "cls_mean_linear") -> StreetVisionNet:
    """A random DINOv3 of that size, input and kind of head, in float32 on the device."""
    config = replace(
        tiny_config(),
        architecture=f"vit_{size}_patch16_dinov3",
        architecture_kwargs={"init_values": LAYER_SCALE},
        input_size=side,
        head=HeadConfig(kind, head_kind(kind).embedding_dim(WIDTHS[size])),
    )
    torch.manual_seed(0)
    return build(config).cuda().eval().requires_grad_(False)


def as_timm_makes_it(net: StreetVisionNet, size: str) -> StreetVisionNet:
    """The same weights in a backbone of dynamic image size, timm's default."""
    backbone: Any = timm.create_model(f"vit_{size}_patch16_dinov3", num_classes=0, init_values=LAYER_SCALE)
    backbone.load_state_dict(net.backbone.state_dict())
    other = copy.copy(net)
    other._modules = dict(net._modules)
    other.backbone = backbone.to("cuda", torch.bfloat16).eval().requires_grad_(False)
    return other


def compiled(net: StreetVisionNet) -> Forward:
    """timm, compiled, with the head as plain PyTorch outside of it."""
    backbone = torch.compile(lambda images: net.tokens(net.preprocess(images)), mode="reduce-overhead", dynamic=False)

    def run(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, embeddings = net.head(backbone(images))
        return logits, embeddings

    return run


def seconds(run: Callable[[], object]) -> float:
    """Median over rounds of the time of one run, rounds long enough for the chip to settle at its power limit."""
    for _ in range(3):
        run()
    start: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
    end: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap

    def timed(times: int) -> float:
        start.record()
        for _ in range(times):
            run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3 / times

    times = max(3, int(ROUND_SECONDS / timed(3)))
    return statistics.median(timed(times) for _ in range(ROUNDS))


def graphed(forward: Forward, images: torch.Tensor) -> Forward:
    return capture(forward, images, torch.cuda.graph_pool_handle())


def distance(answer: tuple[torch.Tensor, torch.Tensor], truth: torch.Tensor) -> float:
    """Relative distance of the embeddings from float32's."""
    return float((answer[1] - truth).norm() / truth.norm())


def kernels(size: str, batch: int, name: str, run: Callable[[], object]) -> list[Row]:
    """Where one run's device time goes, kernel by kernel."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    events = sorted(seen.key_averages(), key=lambda event: -event.device_time_total)
    place: Row = {"model": size, "batch": batch, "forward": name}
    return [
        place | {"kernel": event.key[:60], "launches": event.count, "us": float(event.device_time_total)}
        for event in events
        if event.device_time_total > 0
    ]


def measure(size: str, batches: Sequence[int], stock: Sequence[int]) -> tuple[list[Row], list[Row]]:
    net = network(size)
    pool = torch.randint(0, 256, (max(*batches, 32), 224, 224, 3), dtype=torch.uint8, device="cuda")
    truth = torch.cat([net.forward_uint8(part)[1] for part in pool.split(16)])  # type: ignore[no-untyped-call]  # torch's gap
    device = torch.device("cuda")
    forwards: dict[str, Forward] = {"bf16": FastForward(net, device)}
    if has_float8(device):
        forwards["fp8"] = FastForward(net, device, peaks=FastForward(net, device).observe([pool[:32]]))
    net.for_inference("cuda", torch.bfloat16)
    rows: list[Row] = []
    shares: list[Row] = []
    for batch in batches:
        images = pool[:batch].clone()
        slow = {"timm": compiled(as_timm_makes_it(net, size))} if batch in stock else {}
        graphs = {name: graphed(forward, images) for name, forward in forwards.items()}
        rows += _rows(size, batch, images, truth[:batch], {**slow, "static": compiled(net), **graphs})
        for name, run in graphs.items() if batch in (1, 128) else ():
            shares += kernels(size, batch, name, partial(run, images))
        torch.compiler.reset()
    return rows, shares


def _rows(
    size: str, batch: int, images: torch.Tensor, truth: torch.Tensor, candidates: dict[str, Forward]
) -> list[Row]:
    errors = {name: distance(run(images), truth) for name, run in candidates.items()}
    wrong = {name: error for name, error in errors.items() if not error <= WORST[name]}
    if wrong:
        sys.exit(f"{size} at batch {batch} is wrong: {wrong}, so it gets no speed")
    times = {name: seconds(partial(run, images)) for name, run in candidates.items()}
    return [
        {
            "model": size,
            "batch": batch,
            "forward": name,
            "ms": time * 1e3,
            "images_per_s": batch / time,
            "times_timm": times["timm"] / time if "timm" in times else None,
            "of_timms_latency": time / times["timm"] if "timm" in times else None,
            "times_static": times["static"] / time,
            "error": errors[name],
        }
        for name, time in times.items()
    ]


def warm(models: Sequence[str], batches: Sequence[int], stock: Sequence[int]) -> None:
    """Compile every baseline in a process of its own, all at once: the measuring process finds them in the cache."""
    command = [sys.executable, __file__, "--only-compile"]
    wanted = [(m, b, kind) for m in models for b in batches for kind in ("0", str(b))[: 2 if b in stock else 1]]
    jobs = [
        subprocess.Popen([*command, "--models", m, "--batches", str(b), "--stock", kind], stdout=subprocess.DEVNULL)
        for m, b, kind in wanted
    ]
    for job in jobs:
        job.wait()


def compile_only(size: str, batch: int, stock: Sequence[int]) -> None:
    net = network(size).for_inference("cuda", torch.bfloat16)
    chosen = as_timm_makes_it(net, size) if batch in stock else net
    compiled(chosen)(torch.zeros(batch, 224, 224, 3, dtype=torch.uint8, device="cuda"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for forward.json")
    parser.add_argument("--models", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--stock", type=int, nargs="*", default=list(BATCHES), help="batches that `timm` runs too")
    parser.add_argument("--only-compile", action="store_true", help="fill the compiler's cache and measure nothing")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("The serving forward runs on CUDA alone, and this machine has no CUDA device; nothing was measured.")
    with torch.inference_mode():
        if arguments.only_compile:
            compile_only(arguments.models[0], arguments.batches[0], arguments.stock)
            return
        where = machine()
        warm(arguments.models, arguments.batches, arguments.stock)
        rows: list[Row] = []
        shares: list[Row] = []
        for size in arguments.models:
            found, parts = measure(size, arguments.batches, arguments.stock)
            rows, shares = rows + found, shares + parts
            # After every model: a run that is cut short has lost little.
            if shares:
                report("forward-kernels", "Where the forward's device time goes", shares, where, arguments.results)
            report("forward", "The forward against timm under torch.compile", rows, where, arguments.results)


if __name__ == "__main__":
    main()
