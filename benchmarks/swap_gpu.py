"""Swapping to another model of the same architecture while requests keep the runner busy: the pause, and what it costs.

Every batch that serves notes when it began and ended; a pause is the time between the end of one and the begin of the
next, old model or new. Callers ask again as soon as they are answered. On CUDA a ViT-L with random weights; goals: no
failure, no graph compiled, no pause over 50 ms. Memory is what the device (or, on the CPU, the process) has in use.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from harness import RESULTS, Row, machine, percentile, report, resident_mib
from PIL import Image
from runner import WIDTHS, description
from torch._dynamo.utils import counters

from streetvision.engine.engine import Engine
from streetvision.engine.types import EngineError, ImageArray, RunnerOutput
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build
from streetvision.runner.torch_runner import TorchRunner

PATIENCE = 30.0
SETTLE_S = 1.0
MIB = 2**20


@dataclass
class Log:
    """When serving batches began and ended, and when each request was sent and how long it took."""

    batches: list[tuple[float, float]] = field(default_factory=list)
    requests: list[tuple[float, float]] = field(default_factory=list)
    failures: int = 0

    def longest_pause(self, since: float, until: float) -> float:
        """In seconds, of the pauses that ended in this window."""
        inside = sorted(batch for batch in self.batches if since <= batch[0] < until)
        return max((max(0.0, after[0] - before[1]) for before, after in pairwise(inside)), default=0.0)

    def p99(self, since: float, until: float) -> float:
        """In seconds, of the requests that were sent in this window."""
        return percentile([seconds for sent, seconds in self.requests if since <= sent < until], 0.99)


class NotingRunner(TorchRunner):
    """Notes its batches once it serves."""

    log: Log | None = None

    def run(self, images: ImageArray) -> RunnerOutput:
        """As the runner does."""
        log, began = self.log, time.monotonic()
        output = super().run(images)
        if log is not None:
            log.batches.append((began, time.monotonic()))
        return output


def jpeg() -> bytes:
    rng = np.random.default_rng(72)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).resize((224, 224), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    coarse.save(out, "JPEG", quality=85)
    return out.getvalue()


async def keep_asking(engine: Engine, data: bytes, log: Log, over: asyncio.Event) -> None:
    while not over.is_set():
        sent = time.monotonic()
        try:
            await engine.predict(data, deadline=sent + PATIENCE, priority=0.0)
        except EngineError as error:
            log.failures += 1
            print(f"a request failed: {error!r}", flush=True)
        log.requests.append((sent, time.monotonic() - sent))


def memory_mib(device: str) -> float:
    """What is in use: of the device, by anybody; on the CPU, by this process."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return (total - free) / MIB
    return resident_mib(os.getpid())


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


async def swap(engine: Engine, folder: Path, log: Log, arguments: argparse.Namespace) -> Row:
    """One swap under load, with `seconds` of load before and after."""
    await asyncio.sleep(arguments.seconds)
    before, compiled, used = time.monotonic() - arguments.seconds, graphs(), memory_mib(arguments.device)
    began = time.monotonic()
    lane = await engine.prepare(lambda: open_noting(folder, arguments))
    both = memory_mib(arguments.device)
    runner = lane.runner
    assert isinstance(runner, NotingRunner)
    runner.log = log
    switched = time.monotonic()
    old = engine.activate(lane)
    assert old is not None
    await engine.retire(old)
    ended = time.monotonic()
    del old, runner
    await asyncio.sleep(SETTLE_S + arguments.seconds)
    return {
        "forward": arguments.forward,
        "prepare s": switched - began,
        "failures (goal 0)": log.failures,
        "graphs compiled (goal 0)": graphs() - compiled,
        "longest pause ms before": log.longest_pause(before, began) * 1e3,
        "while preparing": log.longest_pause(began, switched) * 1e3,
        "at the switch (goal < 50)": log.longest_pause(switched - 0.5, ended + SETTLE_S) * 1e3,
        "p99 ms before": log.p99(before, began) * 1e3,
        "p99 ms while swapping": log.p99(began, ended) * 1e3,
        "MiB before": used,
        "MiB with both": both,
        "MiB after": memory_mib(arguments.device),
    }


def open_noting(folder: Path, arguments: argparse.Namespace) -> NotingRunner:
    return NotingRunner(folder, device=arguments.device, fast=False if arguments.forward == "timm" else None)


async def measure(folders: list[Path], arguments: argparse.Namespace) -> list[Row]:
    log, over, data = Log(), asyncio.Event(), jpeg()
    first = await asyncio.to_thread(open_noting, folders[0], arguments)
    engine = Engine(first)
    await engine.start()
    first.log = log
    del first
    callers = [asyncio.create_task(keep_asking(engine, data, log, over)) for _ in range(arguments.callers)]
    rows = []
    for number in range(arguments.swaps):
        rows.append(await swap(engine, folders[(number + 1) % 2], log, arguments))
        print(rows[-1], flush=True)
    over.set()
    await asyncio.gather(*callers)
    await engine.close()
    return rows


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["tiny", *WIDTHS], default="large" if cuda else "tiny")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if cuda else "cpu")
    parser.add_argument("--forward", choices=["served", "timm"], default="served")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--swaps", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load before and after each swap")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for swap_gpu_<forward>.json")
    arguments = parser.parse_args()
    where = machine()
    config = description(arguments.size)
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as scratch:
        folders = [Path(scratch) / str(number) for number in range(2)]
        for number, folder in enumerate(folders):
            torch.manual_seed(number)
            numbered = replace(config, version=f"{number + 1}.0.0")
            save_checkpoint(folder, numbered, build(numbered).state_dict(), dtype=torch.float16)
        rows = asyncio.run(measure(folders, arguments))
    name = f"swap_gpu_{arguments.forward}"
    report(name, f"Same-architecture swap of {arguments.size} on {arguments.device}", rows, where, arguments.results)


if __name__ == "__main__":
    main()
