"""Getting a second model ready while the first one serves: loaded and warmed where it disturbs least.

docs/architecture.md says under "Why serving is not starved" what was tried and what it measured.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import Literal, TypeVar

from streetvision.engine.background_priority import Deference
from streetvision.engine.device_health import explained
from streetvision.engine.lanes import Lane, background_workers
from streetvision.engine.types import EngineClosed, EngineError, PrepareStep, Runner
from streetvision.engine.workers import Workers

SWITCH_INTERVAL = 0.0002
"""Seconds after which Python takes the interpreter from the preparing thread when a serving one wants it."""
QUIET_PATIENCE = 1.0
"""Seconds that a touch waits for the engine to have nothing to do."""
TOUCH_SECONDS = 0.05
"""A longer batch is not run on the serving thread beforehand: a request that comes meanwhile would wait that long."""
CANCELLED = "preparing the model was cancelled"

T = TypeVar("T")
PrepareStage = Literal["load", "warm", "touch"]
PrepareProgress = Callable[[PrepareStep], None]
MakeLane = Callable[[Runner, Workers], Lane]


class Preparation:
    """One model on its way to a lane. `run` it once; whatever ends it early frees what it made."""

    def __init__(
        self,
        make: Callable[[], Runner],
        make_lane: MakeLane,
        quiet: Callable[[], Awaitable[None]],
        progress: PrepareProgress | None,
        deference: Deference,
    ) -> None:
        self._make = make
        self._make_lane = make_lane
        self._quiet = quiet
        self._progress = progress
        self._deference = deference
        self._done, self._total = 0, 1
        self._background: Workers | None = None

    async def run(self) -> Lane:
        """Load, warm and touch; raises EngineError or OperatorError with what is wrong with the model."""
        with yielding():
            return await self._run()

    async def _run(self) -> Lane:
        async with AsyncExitStack() as undo:
            background = self._background = background_workers(self._deference)
            undo.push_async_callback(background.stop, EngineClosed(CANCELLED), 0.0)
            started = time.perf_counter()
            runner = await background.submit(partial(explained, self._make))
            lane = explained(partial(self._make_lane, runner, background))
            del runner
            undo.push_async_callback(lane.close, EngineClosed(CANCELLED), 0.0)
            self._total = 1 + 2 * len(lane.runner.buckets)
            self._report("load", None, started)
            await self._warm_and_touch(lane, background)
            undo.pop_all()
            return lane

    async def abort(self, error: EngineError) -> None:
        """End `run` with this error, at once; a call in the background ends by itself."""
        if self._background is not None:
            await self._background.stop(error, 0.0)

    async def _warm_and_touch(self, lane: Lane, background: Workers) -> None:
        buckets = lane.runner.buckets
        seconds: dict[int, float] = {}
        # Largest first: the graphs of smaller buckets then fit into the memory that it left.
        for bucket in reversed(buckets):
            started = time.perf_counter()
            seconds.update(await background.submit(partial(explained, partial(lane.warm, (bucket,)))))
            self._report("warm", bucket, started)
        foreground = lane.bring_forward()
        await foreground.submit(partial(explained, partial(lane.warm, ())))
        long = {size: value for size, value in seconds.items() if size != buckets[0] and value > TOUCH_SECONDS}
        self._total -= len(long)
        for bucket in buckets:
            lane.cost.seed(bucket, long.get(bucket) or await self._touch(lane, foreground, bucket, seconds))
        lane.bring_back()

    async def _touch(self, lane: Lane, foreground: Workers, bucket: int, seconds: dict[int, float]) -> float:
        await self._at_leisure()
        started = time.perf_counter()
        touched = await foreground.submit(partial(lane.touch, bucket))
        self._report("touch", bucket, started)
        # A niced run says what a pass costs beside serving; the lower of the two is nearer to what it will cost.
        return min(touched, seconds.get(bucket, touched))

    async def _at_leisure(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_PATIENCE):
                await self._quiet()

    def _report(self, stage: PrepareStage, bucket: int | None, started: float) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(PrepareStep(stage, bucket, time.perf_counter() - started, self._done, self._total))


@contextmanager
def yielding() -> Iterator[None]:
    """Let serving threads have the interpreter quickly while a model is prepared, and keep collections short.

    What that makes is enough garbage for full collections, several where it compiles; each would halt the process for
    the time that it takes to visit all that was ever loaded. Frozen, that is left out for now.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
