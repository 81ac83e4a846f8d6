"""From JPEG bytes to probability on one machine: many images in flight through the engine, their rate and their cost.

What holds it back shows in whose processor time it is, in how often threads change places, and in how late a thread
that only sleeps gets Python's lock back. The event loop is uvloop, as in the miner.

On CUDA the runner is a ViT with random weights (goal: 3,000 images/s with ViT-B, 64 in flight). Without CUDA a
stand-in sleeps for as long as an H100 takes for ViT-B, so that what is measured is the processor's part alone.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import resource
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
import uvloop
from harness import RESULTS, Row, machine, percentile, report
from PIL import Image
from runner import WIDTHS, description

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageArray, Runner, RunnerOutput
from streetvision.models.network import LoadedModel, build
from streetvision.runner.torch_runner import TorchRunner

PATIENCE = 60.0
PICTURES = 64
PROBE_S = 0.002
KINDS = ("loop", "decode", "runner", "process")
H100_SECONDS = (0.00035, 0.000075)
"""Of a batch and of each image in it: ViT-B in bfloat16."""


class StandIn:
    """Sleeps as a GPU computes: other threads go on meanwhile."""

    version = "stand-in"
    input_size = 224
    resize = "squash"
    buckets = (1, 2, 4, 8, 16, 32, 64)

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """Tell what each takes."""
        return {size: H100_SECONDS[0] + size * H100_SECONDS[1] for size in buckets}

    def run(self, images: ImageArray) -> RunnerOutput:
        """Zeros, after a while."""
        time.sleep(H100_SECONDS[0] + len(images) * H100_SECONDS[1])
        return RunnerOutput(np.zeros(len(images), np.float32), np.zeros((len(images), 1536), np.float32))


def pictures() -> list[bytes]:
    """JPEGs of 224x224, about 10 KB each, as challenges are; all different."""
    made = []
    for seed in range(PICTURES):
        coarse = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
        made.append(out.getvalue())
    return made


def open_runner(size: str) -> Runner:
    if not torch.cuda.is_available():
        return StandIn()
    config = description(size)
    return TorchRunner(LoadedModel(build(config), config), device="cuda")


async def flood(engine: Engine, jpegs: Sequence[bytes], callers: int, seconds: float) -> list[float]:
    """Callers that ask again as soon as they are answered; the seconds that each answer took."""
    until, taken = time.perf_counter() + seconds, []

    async def caller(number: int) -> None:
        while (began := time.perf_counter()) < until:
            await engine.predict(jpegs[number % PICTURES], deadline=time.monotonic() + PATIENCE, priority=0.0)
            taken.append(time.perf_counter() - began)
            number += 7

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return taken


class Threads:
    """What the process's threads used up, by kind: their processor time and how often they gave way (Linux)."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.switches = 0
        for thread in threading.enumerate():
            task = Path(f"/proc/self/task/{thread.native_id}")
            kind = "loop" if thread is threading.main_thread() else thread.name.partition("-")[0]
            self.seconds[kind] += int((task / "schedstat").read_text().split()[0]) / 1e9
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            self.switches += int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.seconds["process"] = usage.ru_utime + usage.ru_stime


class LockProbe(threading.Thread):
    """Sleeps and notes how late it wakes: what a thread waits for Python's lock, and for a processor."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="probe")
        self.late: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Until `over`."""
        while not self.over.is_set():
            began = time.perf_counter()
            time.sleep(PROBE_S)
            self.late.append(time.perf_counter() - began - PROBE_S)


async def measure_threads(runner: Runner, threads: int, interval: float, arguments: argparse.Namespace) -> Row:
    sys.setswitchinterval(interval)
    engine, jpegs = Engine(runner, decode_threads=threads), pictures()
    await engine.start()
    await flood(engine, jpegs, arguments.callers, arguments.seconds / 4)
    probe = LockProbe()
    probe.start()
    rates, taken, before, began = [], [], Threads(), time.perf_counter()
    batches = engine.stats().batches.copy()
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        latest = await flood(engine, jpegs, arguments.callers, arguments.seconds)
        rates.append(len(latest) / (time.perf_counter() - started))
        taken += latest
    elapsed, after = time.perf_counter() - began, Threads()
    probe.over.set()
    probe.join()
    ran = {size: count - batches.get(size, 0) for size, count in engine.stats().batches.items()}
    await engine.close()
    used = {kind: (after.seconds[kind] - before.seconds[kind]) / len(taken) * 1e6 for kind in KINDS}
    return {
        "decode threads": threads,
        "switch interval ms": interval * 1e3,
        "images/s (goal 3,000)": median(rates),
        "p50 ms": percentile(taken, 0.5) * 1e3,
        "p99 ms": percentile(taken, 0.99) * 1e3,
        **{f"{kind} us/image": used[kind] for kind in KINDS},
        "loop busy": used["loop"] * len(taken) / 1e6 / elapsed,
        "switches/image": (after.switches - before.switches) / len(taken),
        "lock p50 ms": percentile(probe.late, 0.5) * 1e3,
        "lock p99 ms": percentile(probe.late, 0.99) * 1e3,
        "images/batch": sum(size * count for size, count in ran.items()) / max(1, sum(ran.values())),
    }


def bare_decode() -> float:
    """Microseconds of processor time to decode one of the pictures, alone."""
    jpegs, began = pictures(), time.process_time()
    for jpeg in jpegs:
        decode(jpeg, size=224, limits=DecodeLimits(), resize="squash")
    return (time.process_time() - began) / len(jpegs) * 1e6


async def measure(arguments: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    print(f"decoding alone: {bare_decode():.0f} us of processor time an image", flush=True)
    for threads, interval in product(arguments.threads, arguments.intervals):
        rows.append(await measure_threads(open_runner(arguments.size), threads, interval * 1e-3, arguments))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=WIDTHS, default="base")
    parser.add_argument("--callers", type=int, default=64, help="images in flight")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8], help="decode threads")
    parser.add_argument("--intervals", type=float, nargs="+", default=[5.0], help="Python's switch interval, ms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for pipeline.json")
    arguments = parser.parse_args()
    where = machine()
    rows = uvloop.run(measure(arguments))
    name = f"From JPEG bytes to probability, {arguments.callers} images of 224x224 in flight"
    report("pipeline", name, rows, where, arguments.results)


if __name__ == "__main__":
    main()
