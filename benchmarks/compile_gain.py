"""What torch.compile gains for a plain vision transformer on CUDA, as transformers' classifiers are: S, B and L.

Compiled blocks against the same network as it is, each in CUDA graphs and in bfloat16, twice in turn. `ms` is the
device's time for one batch, without upload and download; `ready s` is a start with a cold cache, then one with it full.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from harness import RESULTS, Row, machine, report

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import LoadedModel, build
from streetvision.runner.torch_runner import TorchRunner

SIZES = {"small": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 16, 24)}
"""Width, heads, blocks."""
MODES = ("eager", "compiled")
TURNS, RUNS, REPLAYS = 2, 30, 5


def description(size: str) -> ModelConfig:
    """Of a classifier that transformers would have saved."""
    width, heads, depth = SIZES[size]
    sizes = {"patch_size": 16, "embed_dim": width, "depth": depth, "num_heads": heads}
    kwargs = {**sizes, "mlp_ratio": 4.0, "qkv_bias": True, "norm_eps": 1e-12}
    return ModelConfig("plain", "1.0.0", "vit", kwargs, head=HeadConfig("cls_linear", width))


def device_ms(runner: TorchRunner, batch: int) -> float:
    """Milliseconds of one replay of the batch's graph, the median of several runs."""
    forward, images = runner._ready[batch], runner._input[:batch]
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(RUNS):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            for _ in range(REPLAYS):
                forward(images)
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / REPLAYS)
    return median(times)


def one_turn(size: str, mode: str, batches: Sequence[int]) -> tuple[float, dict[int, float]]:
    """Seconds until it is ready, and the device's ms by batch."""
    torch.manual_seed(0)
    config = description(size)
    model = LoadedModel(build(config), config)
    started = time.perf_counter()
    runner = TorchRunner(model, device="cuda", buckets=batches, compile=mode == "compiled")
    runner.warmup()
    ready = time.perf_counter() - started
    took = {batch: device_ms(runner, batch) for batch in batches}
    runner.close()
    torch.compiler.reset()
    return ready, took


def measure(size: str, batches: Sequence[int]) -> list[Row]:
    """One row for each batch and turn."""
    rows: list[Row] = []
    for turn in range(1, TURNS + 1):
        (eager_s, eager), (compiled_s, compiled) = (one_turn(size, mode, batches) for mode in MODES)
        for batch in batches:
            times = {"eager ms": eager[batch], "compiled ms": compiled[batch]}
            gain = {"gain % (kept from 5)": 100.0 * (1.0 - compiled[batch] / eager[batch])}
            ready = {"eager ready s": eager_s, "compiled ready s": compiled_s}
            rows.append({"model": size, "batch": batch, "turn": turn, **times, **gain, **ready})
    return rows


def main() -> None:
    """Measure, print the table, write results/compile_gain.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for compile_gain.json")
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    arguments = parser.parse_args()
    where = machine()
    rows = [row for size in arguments.models for row in measure(size, arguments.batches)]
    report("compile_gain", "torch.compile for plain vision transformers", rows, where, arguments.results)


if __name__ == "__main__":
    main()
