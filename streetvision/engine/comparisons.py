"""What is computed after the reply to learn from: the shadow's view of an image, and the active model's of a canary's.

One image at a time, only while no request is in the engine, from a bounded queue: what does not fit is dropped and
counted. A shadow computes on its lane's niced thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from streetvision.engine.answers import Answer
from streetvision.engine.decode import DecodedImage
from streetvision.engine.decode_queue import DecodeQueue
from streetvision.engine.dispatch import MISSED
from streetvision.engine.lanes import Lane
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.outcomes import Listeners, answered, failed
from streetvision.engine.types import DeadlineMissed, EngineClosed, EngineError, OtherAnswer, Outcome, Role

MAX_IMAGES = 64
MAX_BYTES = 64 * 2**20
PATIENCE = 10.0
"""Seconds for one comparison; a model that hangs must not hold the queue up for ever."""
LAST = 1e18
"""A deadline later than any other: decoded last."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Glance:
    """An image to look at again, in this lane, and how it ended for the caller."""

    jpeg: bytes
    lane: Lane
    outcome: Outcome


class Comparisons:
    """The queue of glances and the task that works it off. Bound to the event loop that opens it."""

    def __init__(
        self,
        decode_queue: DecodeQueue,
        quiet: Callable[[], Awaitable[None]],
        listeners: Listeners,
        metrics: EngineMetrics,
        clock: Callable[[], float],
    ) -> None:
        """`quiet` waits until no request is in the engine, and returns without yielding when none is."""
        self._decode_queue = decode_queue
        self._quiet = quiet
        self._listeners = listeners
        self._metrics = metrics
        self._clock = clock
        self._glances: deque[Glance] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._glances)

    def offer(self, glance: Glance) -> None:
        """Queue it, or drop and count it when there is no room."""
        if len(self._glances) >= MAX_IMAGES or self._bytes + len(glance.jpeg) > MAX_BYTES:
            self._metrics.drop(Role.CANARY if glance.outcome.role is Role.CANARY else Role.SHADOW)
            return
        self._glances.append(glance)
        self._bytes += len(glance.jpeg)
        self._filled.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def forget(self, lane: Lane) -> None:
        """Drop what waits for this lane, uncounted: nobody wants to know any more."""
        self._glances = deque(glance for glance in self._glances if glance.lane is not lane)
        self._bytes = sum(len(glance.jpeg) for glance in self._glances)

    async def close(self) -> None:
        """Forget all and end the task."""
        self._glances.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            while not self._glances:
                self._filled.clear()
                await self._filled.wait()
            glance = self._glances.popleft()
            self._bytes -= len(glance.jpeg)
            try:
                await self._look(glance)
            except Exception:  # one glance's defect must not end all later ones
                logger.exception("a comparison after the reply failed")

    async def _look(self, glance: Glance) -> None:
        await self._quiet()
        lane, key, started = glance.lane, glance.outcome.image_key, time.perf_counter()
        try:
            image = await self._decode_queue.decode(glance.jpeg, lane, LAST)
            decoding = time.perf_counter() - started
            await self._quiet()
            if lane.retired:
                return
            answer = await self._infer(lane, image, key)
        except EngineClosed:
            return
        except EngineError as error:
            seconds = time.perf_counter() - started
            seen = failed(Role.SHADOW, lane.version, error, key=key, seconds=seconds, headroom=None)
        else:
            seen = answered(Role.SHADOW, answer, key=key, seconds=decoding + answer.seconds, headroom=None)
        self._report(glance.outcome, seen)

    async def _infer(self, lane: Lane, image: DecodedImage, key: str) -> Answer:
        deadline = self._clock() + PATIENCE
        with lane.held():
            try:
                async with asyncio.timeout(PATIENCE):
                    return await lane.infer(image, deadline, 0.0, key)
            except TimeoutError:
                raise DeadlineMissed(MISSED) from None

    def _report(self, told: Outcome, seen: Outcome) -> None:
        """The candidate's answer, and beside it the active model's; which of them was told depends on the candidate."""
        candidate, active = (told, seen) if told.role is Role.CANARY else (seen, told)
        other = OtherAnswer(active.version, active.probability, active.logit, active.error)
        self._metrics.compare(candidate.role)
        self._listeners.tell(replace(candidate, comparison=True, other=other, headroom=None))
