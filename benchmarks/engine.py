"""The engine under load against the best fixed batch, and what it adds to a single request when idle.

Both with the real runner on the CPU, random weights of the default model (speed does not depend on them).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from harness import Row, machine, percentile, report
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageArray, RunnerOutput
from streetvision.engine.workers import Workers
from streetvision.errors import OperatorError
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner

PATIENCE = 60.0
"""Seconds; throughput is measured without deadlines that bind."""


class InstantRunner:
    """A model that costs nothing, so that all that is measured is the engine."""

    version = "instant"
    input_size = 224
    resize = "squash"
    buckets: tuple[int, ...] = (1,)

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """Nothing to warm."""
        return dict.fromkeys(buckets, 1e-6)

    def run(self, images: ImageArray) -> RunnerOutput:
        """Zeros at once."""
        return RunnerOutput(np.zeros(len(images), np.float32), np.zeros((len(images), 8), np.float32))


def torch_runner() -> TorchRunner:
    torch.manual_seed(72)
    config = tiny_config()
    return TorchRunner(LoadedModel(build(config), config), device="cpu")


def jpeg() -> bytes:
    """About 10 KB, 224x224, as challenges are."""
    rng = np.random.default_rng(72)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).resize((224, 224), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    coarse.save(out, "JPEG", quality=85)
    return out.getvalue()


def run_fixed(runner: TorchRunner, size: int, seconds: float) -> float:
    """Images per second of one batch size, back to back."""
    images = np.random.default_rng(size).integers(0, 256, (size, 224, 224, 3), np.uint8)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        runner.run(images)
        done += size
    return done / (time.perf_counter() - began)


async def run_engine(engine: Engine, data: bytes, callers: int, seconds: float) -> float:
    """Images per second of callers that each ask again as soon as they are answered."""
    began = time.perf_counter()

    async def caller() -> int:
        answered = 0
        while time.perf_counter() - began < seconds:
            await engine.predict(data, deadline=time.monotonic() + PATIENCE, priority=0.0)
            answered += 1
        return answered

    answered = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return answered / (time.perf_counter() - began)


async def throughput(rounds: int, seconds: float, callers: int) -> list[Row]:
    """Fixed batches and the engine take turns, so that a busy machine slows both."""
    fixed, runner, data = torch_runner(), torch_runner(), jpeg()
    bench = Workers(1, "bench")
    await bench.submit(fixed.warmup)
    engine = Engine(runner)
    await engine.start()
    rates: dict[int, list[float]] = {size: [] for size in fixed.buckets}
    engine_rates: list[float] = []
    for _ in range(rounds):
        for size in fixed.buckets:
            rates[size].append(await bench.submit(partial(run_fixed, fixed, size, seconds)))
        engine_rates.append(await run_engine(engine, data, callers, 2 * seconds))
    sizes = engine.stats().batches
    await engine.close()
    await bench.stop(OperatorError("the benchmark is over"), 5.0)
    medians = {size: percentile(values, 0.5) for size, values in rates.items()}
    best = max(medians, key=lambda size: medians[size])
    ours = percentile(engine_rates, 0.5)
    alone: list[Row] = [{"measure": f"fixed batch of {size}, images/s", "value": medians[size]} for size in medians]
    return [
        *alone,
        {"measure": f"engine, {callers} callers, images/s (batches: {sizes})", "value": ours},
        {"measure": f"engine / best fixed batch ({best}); goal 0.95", "value": ours / medians[best]},
    ]


async def idle_overhead(runner: InstantRunner | TorchRunner, name: str, count: int) -> list[Row]:
    """A single request through the engine against the same decode and forward pass called directly, taking turns."""
    engine, data = Engine(runner), jpeg()
    await engine.start()
    through, direct = [], []
    bench = Workers(1, "bench")

    def call_directly() -> float:
        started = time.perf_counter()
        image = decode(data, size=runner.input_size, limits=DecodeLimits(), resize="squash").array
        runner.run(image[None])
        return time.perf_counter() - started

    for _ in range(count):
        await asyncio.sleep(0.002)
        direct.append(await bench.submit(call_directly))
        await asyncio.sleep(0.002)
        started = time.perf_counter()
        await engine.predict(data, deadline=time.monotonic() + PATIENCE, priority=0.0)
        through.append(time.perf_counter() - started)
    await engine.close()
    await bench.stop(OperatorError("the benchmark is over"), 5.0)
    added = percentile(through, 0.5) - percentile(direct, 0.5)
    return [
        {"measure": f"{name}: decode and forward pass directly, ms", "value": percentile(direct, 0.5) * 1e3},
        {"measure": f"{name}: through the idle engine, ms", "value": percentile(through, 0.5) * 1e3},
        {"measure": f"{name}: added, ms; goal 1", "value": added * 1e3},
    ]


async def measure(arguments: argparse.Namespace) -> list[Row]:
    rows = await idle_overhead(InstantRunner(), "instant runner", 300)
    rows += await idle_overhead(torch_runner(), "default model", 40)
    return rows + await throughput(arguments.rounds, arguments.seconds, arguments.callers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each fixed batch in a round")
    parser.add_argument("--callers", type=int, default=32)
    arguments = parser.parse_args()
    where = machine()
    report("engine", "Engine under load and idle", asyncio.run(measure(arguments)), where)


if __name__ == "__main__":
    main()
