"""SigLIP's image tower, ours beside timm's under torch.compile: on CUDA, and on a CPU with `--device cpu`.

The baseline is the tower as timm makes it, all of it compiled, pooling and linear head included: on CUDA in bfloat16
with mode="reduce-overhead", on a CPU in float32. Ours on CUDA is one CUDA graph, as in service. Weights are random, of
the sizes of ViT-B/16 (speed does not depend on them); each answer is compared with timm's in float32 first, and a wrong
one gets no speed. On a CPU all candidates are timed in turn, round after round, so that what else the machine does
meets all alike; there `cpu_ms` is processor time, which with `--threads 1` is a run's own, whoever else computes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import timm
import torch
from forward import distance, graphed, kernels, seconds
from harness import RESULTS, Row, machine, report
from torch import nn

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import StreetVisionNet, build

NAME = "vit_base_patch16_siglip_224"
WIDTH = 768
BATCHES = {"cuda": (1, 32, 128), "cpu": (1, 8)}
WORST = {"bf16": 0.05, "fp8": 0.15, "float32": 1e-4, "int8": 0.15}
"""Largest relative distance of the embeddings from float32's that still counts as right."""
PAUSE = 0.03

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Key = tuple[str, str]
"""Engine and precision."""


def network() -> StreetVisionNet:
    """A random tower with a linear head, float32 on the CPU, whose pooling tells patches apart."""
    torch.manual_seed(0)
    net = build(ModelConfig("tower", "1.0.0", NAME, {}, 224, head=HeadConfig("cls_linear", WIDTH)))
    nn.init.normal_(net.backbone.pos_embed, std=0.3)
    nn.init.normal_(net.backbone.attn_pool.latent, std=1.5)
    return net.eval().requires_grad_(False)


def as_timm_makes_it(net: StreetVisionNet, device: str, dtype: torch.dtype) -> Forward:
    """The same weights in timm's own model, with a linear head as timm would have one."""
    model: Any = timm.create_model(NAME, num_classes=1)
    model.load_state_dict(net.backbone.state_dict() | {f"head.{k}": v for k, v in net.head.fc.state_dict().items()})
    model = model.to(device, dtype).eval().requires_grad_(False)
    mean, std = (value.to(device) for value in (net.mean, net.std))

    def forward(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = ((images.float() - mean) / std).permute(0, 3, 1, 2).to(dtype)
        pooled = model.forward_head(model.forward_features(pixels), pre_logits=True)
        return model.head(pooled)[:, 0].float(), pooled.float()

    return forward


def pictures(count: int) -> torch.Tensor:
    """uint8 [count, 224, 224, 3]."""
    return torch.randint(0, 256, (count, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def rows_of(batch: int, times: dict[Key, float], errors: dict[Key, float]) -> list[Row]:
    baseline = next(time for (engine, _), time in times.items() if engine == "timm, compiled")
    return [
        {
            "model": NAME,
            "batch": batch,
            "engine": engine,
            "precision": precision,
            "ms": time * 1e3,
            "images_per_s": batch / time,
            "times_timm_compiled": baseline / time,
            "error": errors[engine, precision],
        }
        for (engine, precision), time in times.items()
    ]


def checked(candidates: dict[Key, Forward], images: torch.Tensor, truth: torch.Tensor) -> dict[Key, float]:
    """How far each one's embeddings are from float32's; ends the benchmark where one is wrong."""
    errors = {key: distance(run(images), truth) for key, run in candidates.items()}
    wrong = {key: error for key, error in errors.items() if not error <= WORST[key[1]]}
    if wrong:
        sys.exit(f"wrong at batch {len(images)}: {wrong}, so it gets no speed")
    return errors


def on_cuda(batches: Sequence[int]) -> tuple[list[Row], list[Row]]:
    from streetvision.runner.cuda_forward import FastForward, has_float8

    net, device = network().cuda(), torch.device("cuda")
    pool = pictures(max(*batches, 32)).cuda()
    truth = torch.cat([net.forward_uint8(part)[1] for part in pool.split(16)])  # type: ignore[no-untyped-call]  # torch
    forwards: dict[str, Forward] = {"bf16": FastForward(net, device)}
    if has_float8(device):
        forwards["fp8"] = FastForward(net, device, peaks=FastForward(net, device).observe([pool[:32]]))
    stock = as_timm_makes_it(net, "cuda", torch.bfloat16)
    rows: list[Row] = []
    shares: list[Row] = []
    for batch in batches:
        images = pool[:batch].clone()
        compiled = torch.compile(stock, mode="reduce-overhead", dynamic=False)
        candidates = {("timm, compiled", "bf16"): compiled}
        candidates |= {("ours", name): graphed(forward, images) for name, forward in forwards.items()}
        errors = checked(candidates, images, truth[:batch])
        rows += rows_of(batch, {key: seconds(partial(run, images)) for key, run in candidates.items()}, errors)
        print(rows[-len(candidates) :], flush=True)
        for (engine, name), run in candidates.items() if batch in (1, 128) else ():
            shares += kernels("base", batch, f"{engine} {name}", partial(run, images))
        torch.compiler.reset()
    return rows, shares


def on_cpu(batches: Sequence[int], rounds: int) -> list[Row]:
    from streetvision.runner.cpu_forward import SmallForward, missing_for_bfloat16, missing_for_int8

    net = network()
    stock = as_timm_makes_it(net, "cpu", torch.float32)
    exact = SmallForward(net)
    ours: dict[Key, Forward] = {("ours", "float32"): exact}
    if missing_for_bfloat16() is None:
        ours["ours", "bf16"] = SmallForward(net, dtype=torch.bfloat16)
    if missing_for_int8() is None:
        ours["ours", "int8"] = SmallForward(net, ranges=exact.watch(list(pictures(32).split(8)))[1])  # type: ignore[no-untyped-call]  # torch
    rows: list[Row] = []
    for batch in batches:
        images = pictures(batch)
        compiled = torch.compile(stock, dynamic=False)
        candidates = {("timm, eager", "float32"): stock, ("timm, compiled", "float32"): compiled, **ours}
        errors = checked(candidates, images, net.forward_uint8(images)[1])
        times = in_turn(candidates, images, rounds)
        found = rows_of(batch, {key: wall for key, (wall, _) in times.items()}, errors)
        _, baseline = times["timm, compiled", "float32"]
        rows += [
            row | {"cpu_ms": cpu * 1e3, "times_by_cpu": baseline / cpu}
            for row, (_, cpu) in zip(found, times.values(), strict=True)
        ]
    return rows


def in_turn(candidates: dict[Key, Forward], images: torch.Tensor, rounds: int) -> dict[Key, tuple[float, float]]:
    """Median seconds of each, by the wall clock and of processors.

    A turn is a pause, for the last one's threads to stop spinning, and a run to warm up.
    """
    times: dict[Key, list[tuple[float, float]]] = {key: [] for key in candidates}
    for _ in range(rounds):
        for key, run in candidates.items():
            sleep(PAUSE)
            run(images)
            started = perf_counter(), process_time()
            run(images)
            times[key].append((perf_counter() - started[0], process_time() - started[1]))
    return {key: (median(wall for wall, _ in each), median(cpu for _, cpu in each)) for key, each in times.items()}


def compile_only(batch: int) -> None:
    stock = as_timm_makes_it(network(), "cuda", torch.bfloat16)
    torch.compile(stock, mode="reduce-overhead", dynamic=False)(pictures(batch).cuda())


def warm(batches: Sequence[int]) -> None:
    """Compile the baselines in processes of their own, all at once: the measuring process finds them in the cache."""
    jobs = [subprocess.Popen([sys.executable, __file__, "--only-compile", "--batches", str(b)]) for b in batches]
    for job in jobs:
        job.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=BATCHES, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=7, help="on a CPU")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="on a CPU")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for siglip-DEVICE.json")
    parser.add_argument("--cached", action="store_true", help="the compiler's cache is full already")
    parser.add_argument("--only-compile", action="store_true", help="fill the compiler's cache and measure nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batches = arguments.batches or BATCHES[arguments.device]
    with torch.inference_mode():
        if arguments.only_compile:
            compile_only(batches[0])
            return
        where = machine()
        title = f"SigLIP's tower against timm under torch.compile, on {arguments.device}"
        if arguments.device == "cpu":
            rows = on_cpu(batches, arguments.rounds)
        else:
            if not arguments.cached:
                warm(batches)
            rows, shares = on_cuda(batches)
            report("siglip_kernels", "Where the tower's device time goes", shares, where, arguments.results)
        report(f"siglip-{arguments.device}", title, rows, where, arguments.results)


if __name__ == "__main__":
    main()
