"""An engine over a runner that waits at a gate and fails when it is told to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageArray, Prediction, RunnerFailure, RunnerOutput

from ..photos import grey_photo
from .waiting import until

SIDE = 16


photo = partial(grey_photo, side=SIDE)
POISON = photo(13)


def grey_logits(images: ImageArray) -> NDArray[np.float32]:
    """What GatedRunner answers to all but its poison."""
    return ((images[:, 0, 0, 0].astype(int) - 128) / 10).astype(np.float32)


class GatedRunner:
    """Answers each image with its grey level less 128, tenfold smaller; waits at a gate; breaks on grey level 13."""

    version = "fake-1"
    input_size = SIDE
    resize = "squash"

    def __init__(self, buckets: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        self.buckets = buckets
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.poison: Callable[[], Exception] = lambda: RunnerFailure("device error")
        self.bad_value: float | None = None
        self.warmed: tuple[int, ...] = ()

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self.warmed = tuple(buckets)
        self.threads.add(threading.current_thread().name)
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        levels = images[:, 0, 0, 0].astype(int)
        self.threads.add(threading.current_thread().name)
        self.batches.append(levels.tolist())
        self.entered.set()
        assert self.gate.wait(20)
        logits = grey_logits(images)
        if 13 in levels:
            if self.bad_value is None:
                raise self.poison()
            logits[levels == 13] = self.bad_value
        return RunnerOutput(logits, np.repeat(logits[:, None], 4, axis=1))


@asynccontextmanager
async def running(runner: GatedRunner, **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(runner, **options)
    await engine.start()
    runner.entered.clear()
    try:
        yield engine
    finally:
        runner.gate.set()
        await engine.close()


async def ask(engine: Engine, grey: int = 200, seconds: float = 10.0, priority: float = 0.0) -> Prediction:
    return await engine.predict(photo(grey), deadline=time.monotonic() + seconds, priority=priority)


async def block(engine: Engine, runner: GatedRunner) -> asyncio.Task[Prediction]:
    """Occupy the runner until its gate opens."""
    runner.gate.clear()
    first = asyncio.create_task(ask(engine, 100))
    await until(runner.entered.is_set)
    return first


async def queue_up(engine: Engine, greys: Sequence[int], **options: Any) -> list[asyncio.Task[Prediction]]:
    tasks = [asyncio.create_task(ask(engine, grey, **options)) for grey in greys]
    await until(lambda: engine.stats().queued == len(greys))
    return tasks
