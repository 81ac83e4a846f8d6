"""What views cost others: requests at a steady pace, with one view and with four, from an idle to a flooded engine.

The bundled model on the CPU. The pace is a share of what the engine answers with one view at full load, arrivals are
random, every request has a validator's deadline. No figure without its check: every answer came in time, and an idle
engine with views used all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from engine import jpeg, run_engine
from harness import RESULTS, Row, machine, percentile, report

from streetvision.engine.engine import Engine
from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.types import EngineError, Runner
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.folder import bundled_checkpoint
from streetvision.runner.torch_runner import TorchRunner

PATIENCE = 8.5
"""Seconds: a validator's nine, less the axon's margin."""
VIEWS = ("plain", "hflip", "vflip", "rot180")
IDLE = 0.05
"""The lightest load, as a share of what the engine can answer; a validator's pace is lighter still."""
LOADS = (IDLE, 0.5, 0.9, 1.5)


@dataclass
class Tally:
    """How the requests of one load ended."""

    seconds: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    refused: int = 0

    async def ask(self, engine: Engine, data: bytes) -> None:
        """One request; raises when an answer is late."""
        began = time.monotonic()
        try:
            answer = await engine.predict(data, deadline=began + PATIENCE, priority=0.0)
        except EngineError:
            self.refused += 1
            return
        self.seconds.append(time.monotonic() - began)
        self.views.append(answer.views)
        if self.seconds[-1] > PATIENCE:
            raise ValueError(f"an answer took {self.seconds[-1]:.2f} s: no figure")


def runner(views: tuple[str, ...]) -> Runner:
    model = TorchRunner(bundled_checkpoint(), device="cpu", compile=False)
    member = Member(model.config.sha256, version="bundled")
    return EnsembleRunner([model], EnsembleConfig("views", "1.0.0", (member,), views)) if len(views) > 1 else model


async def offer(engine: Engine, data: bytes, rate: float, seconds: float) -> Tally:
    """Random arrivals at that many a second, the same ones every time."""
    rng, tally = random.Random(72), Tally()
    due, ends = time.monotonic(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        while (due := due + rng.expovariate(rate)) < ends:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(tally.ask(engine, data))
    return tally


def row(load: float, views: int, tally: Tally, seconds: float) -> Row:
    return {
        "load": load,
        "views offered": views,
        "answered/s": len(tally.seconds) / seconds,
        "refused": tally.refused,
        "views used": sum(tally.views) / len(tally.views),
        "p50_ms": percentile(tally.seconds, 0.5) * 1e3,
        "p99_ms": percentile(tally.seconds, 0.99) * 1e3,
    }


async def measure(seconds: float) -> list[Row]:
    data = jpeg()
    engines = {len(views): Engine(runner(views)) for views in (VIEWS[:1], VIEWS)}
    for engine in engines.values():
        await engine.start()
    await run_engine(engines[1], data, 16, 1.0)
    full = await run_engine(engines[1], data, 32, seconds)
    rows = []
    for load in LOADS:
        for views, engine in engines.items():
            tally = await offer(engine, data, load * full, seconds)
            rows.append(row(load, views, tally, seconds))
            if load == IDLE and percentile(tally.views, 0.5) < views:
                raise ValueError("an idle engine did not use its views: no figure")
    for engine in engines.values():
        await engine.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for view_load.json")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    where = machine()
    rows = asyncio.run(measure(arguments.seconds))
    report("view_load", "One view and four, from an idle to a flooded engine", rows, where, arguments.results)


if __name__ == "__main__":
    main()
