"""Is the miner alive, is it ready, does its model answer: three questions for machines to ask."""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from PIL import Image
from prometheus_client import CollectorRegistry, Counter

from streetvision.base.histogram import Histogram
from streetvision.engine.metrics import REASONS
from streetvision.engine.types import EngineError, Prediction
from streetvision.models.golden import golden_images

BEAT_S = 0.5
"""Between two measurements of the loop's lag."""
LAG_WINDOW_S = 15.0
LAG_LIMIT_S = 5.0
"""A loop that was held up for longer answers no validator in time."""
EVERY_S = 5.0
"""Least time between two forward passes for /health/generate: whoever asks in between gets the last result."""
PATIENCE_S = 10.0
"""Deadline of such a pass: behind every request that waits, for validators give 9 s."""
_LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIDE = 224

Sleep = Callable[[float], Awaitable[None]]


class LoopWatch:
    """Measures how late the event loop is; keep `run` running."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lags: deque[float] = deque([0.0], maxlen=int(LAG_WINDOW_S / BEAT_S))
        self._histogram = Histogram(
            "streetvision_loop_lag_seconds", "How late the event loop was", buckets=_LAGS, registry=registry
        )

    @property
    def worst(self) -> float:
        """Seconds, of the last beats."""
        return max(self._lags)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + BEAT_S
            await self._sleep(BEAT_S)
            lag = max(0.0, self._clock() - due)
            self._lags.append(lag)
            self._histogram.observe(lag)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the miner is not ready."""

    code: str
    message: str


class Exercised(Protocol):
    """What of the engine a health check needs."""

    async def exercise(self, jpeg: bytes, *, seconds: float) -> Prediction:
        """Answer a picture behind whoever waits; raises EngineError."""
        ...


@dataclass(frozen=True, slots=True)
class Pass:
    """How one forward pass ended."""

    at: float
    """Monotonic seconds."""
    seconds: float
    prediction: Prediction | None = None
    reason: str = "ok"
    message: str = ""


class Generator:
    """A real forward pass on request: one at a time, and never more than one in `EVERY_S`."""

    def __init__(
        self,
        engine: Callable[[], Exercised | None],
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`engine` is None until the model is warm."""
        self._engine, self._clock = engine, clock
        self._last: Pass | None = None
        self._running: asyncio.Task[Pass] | None = None
        self._counter = Counter(
            "streetvision_health_generate", "Forward passes for /health/generate", ["result"], registry=registry
        )
        for result in ("ok", *REASONS):
            self._counter.labels(result)  # from 0 on: Prometheus must see the first increase

    async def check(self) -> Pass:
        """The newest pass, at most `EVERY_S` old; a caller that leaves does not end it for the others."""
        if self._last is not None and self._clock() - self._last.at < EVERY_S:
            return self._last
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._pass(), name="health-generate")
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """End the pass that runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _pass(self) -> Pass:
        engine, started = self._engine(), self._clock()
        if engine is None:
            return Pass(started, 0.0, None, "starting", "the model is not warm yet")
        prediction, reason, message = None, "ok", ""
        try:
            prediction = await engine.exercise(await asyncio.to_thread(picture), seconds=PATIENCE_S)
        except EngineError as error:
            reason, message = error.reason, str(error)
        now = self._clock()
        self._counter.labels(reason).inc()
        self._last = Pass(now, now - started, prediction, reason, message)
        return self._last


def picture() -> bytes:
    """A drawn street as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(golden_images(_SIDE)[0]).save(file, "JPEG", quality=90)
    return file.getvalue()
