"""An engine over models that wait at gates, and callers that keep asking."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageArray, Prediction, Runner, RunnerOutput
from streetvision.errors import ConfigError

from ..photos import grey_photo
from .waiting import until


class Model:
    """Answers each image with `sign` times its grey level; waits at a gate, in `run` and in `warmup`."""

    def __init__(self, version: str, *, side: int = 16, buckets: tuple[int, ...] = (1, 2, 4), sign: int = 1) -> None:
        self.version, self.input_size, self.buckets, self.sign = version, side, buckets, sign
        self.resize = "squash"
        self.gate, self.warm_gate = threading.Event(), threading.Event()
        self.gate.set()
        self.warm_gate.set()
        self.entered = threading.Event()
        self.calls: list[tuple[str, str, int]] = []
        self.warm_nice: list[int] = []
        self.closed = 0
        self.spoil: Callable[[RunnerOutput], RunnerOutput] = lambda output: output
        self._busy = threading.Lock()

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self._note("warm", len(buckets))
        self.warm_nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert self.warm_gate.wait(20)
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        assert self._busy.acquire(blocking=False), "two passes at once"
        try:
            self._note("run", len(images))
            self.entered.set()
            assert images.shape[1:] == (self.input_size, self.input_size, 3)
            assert self.gate.wait(20)
            logits = self.sign * images[:, 0, 0, 0].astype(np.float32)
            return self.spoil(RunnerOutput(logits, logits[:, None]))
        finally:
            self._busy.release()

    def close(self) -> None:
        self.closed += 1

    def _note(self, what: str, size: int) -> None:
        self.calls.append((what, threading.current_thread().name, size))


@asynccontextmanager
async def running(model: Runner | Callable[[], Runner], **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(model, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ask(engine: Engine, grey: int = 100, seconds: float = 10.0) -> Prediction:
    return await engine.predict(grey_photo(grey), deadline=time.monotonic() + seconds, priority=0.0)


@asynccontextmanager
async def steady(engine: Engine, callers: int = 3) -> AsyncIterator[list[Prediction]]:
    """Callers that ask one after the other; an error of any fails the test."""
    answers: list[Prediction] = []
    over = False

    async def caller(grey: int) -> None:
        while not over:
            answers.append(await ask(engine, grey))
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(caller(50 + index)) for index in range(callers)]
    try:
        yield answers
    finally:
        over = True
        await asyncio.gather(*tasks)


async def more(answers: list[Prediction], count: int = 10) -> None:
    """Until the callers got so many more answers."""
    goal = len(answers) + count
    await until(lambda: len(answers) >= goal)


def broken_maker() -> Runner:
    raise ConfigError("The checkpoint does not fit.")
