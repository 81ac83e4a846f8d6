"""The first half of an image's way: is there time for it, which lane is it for, and its pixels."""

from __future__ import annotations

import asyncio
import hashlib
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from streetvision.engine.decode import DecodedImage, DecodeLimits
from streetvision.engine.dispatch import MISSED
from streetvision.engine.lanes import Lane
from streetvision.engine.memory_budget import MemoryBudget, MemoryBusy
from streetvision.engine.routing import Route
from streetvision.engine.types import DeadlineMissed, EngineClosed, EngineError, Overloaded
from streetvision.engine.workers import Workers

T = TypeVar("T")

DECODE_MEMORY = 0.1
"""Weight of the newest image in the average decode time."""
CROWDED = 0.1
"""Seconds of waiting for a thread beyond which an image is decoded for one view."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An image on its way into a lane."""

    lane: Lane
    image: DecodedImage
    key: str
    """sha256 of its bytes in hexadecimal; empty when nobody asked for it."""
    seconds: float
    """What decoding took."""


class DecodeQueue:
    """The decode threads, most urgent first, and what waits for them."""

    def __init__(self, threads: int, limits: DecodeLimits, clock: Callable[[], float]) -> None:
        self._count = threads
        self._limits = limits
        self._clock = clock
        self._memory = MemoryBudget(limits.max_memory, clock)
        self._threads: Workers | None = None
        self._waiting: list[float] = []
        self._seconds = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def deadlines(self) -> Sequence[float]:
        """Of the requests that wait for a thread or are in one, ascending."""
        return self._waiting

    def open(self) -> None:
        """Start the threads, on the present event loop, unless they run."""
        if self._threads is None:
            self._threads = Workers(self._count, "decode")

    async def close(self, error: EngineError, grace: float) -> bool:
        """Fail all that wait with `error`; False if a thread outlives `grace` seconds."""
        self._memory.fail(error)
        return self._threads is None or await self._threads.stop(error, grace)

    def admit(self, lane: Lane, deadline: float, now: float) -> None:
        """Raise DeadlineMissed or Overloaded when the lane could not answer in time."""
        if deadline <= now:
            raise DeadlineMissed(MISSED)
        ahead = bisect_right(self._waiting, deadline)
        # Only the wait counts, not the decode itself: one slow decode must not make the engine refuse for ever.
        delay = self._wait(ahead)
        lane.batcher.admit(now, deadline, ahead=ahead, behind=len(self._waiting) - ahead, delay=delay)

    async def take(self, jpeg: bytes, route: Route, deadline: float, *, keyed: bool) -> Taken:
        """Decode a request's image for the lane that will answer it; raises EngineError.

        Hashed and routed in the thread, only where the key matters (`keyed`): a large photo takes milliseconds.
        """
        insort(self._waiting, deadline)
        try:
            taken = await self._with_memory(partial(self._take, jpeg, route, deadline, keyed), deadline)
        finally:
            self._waiting.remove(deadline)
        if len(taken.image.passes) <= 1:  # further views are decoded only while no thread is missing
            self._seconds += DECODE_MEMORY * (taken.seconds - self._seconds)
        return taken

    async def decode(self, jpeg: bytes, lane: Lane, deadline: float) -> DecodedImage:
        """Decode for this lane, as urgent as the deadline says and counted by nobody; raises EngineError."""
        return await self._with_memory(partial(self._decode, jpeg, lane, deadline), deadline)

    def _wait(self, ahead: int) -> float:
        """Predicted seconds until a thread is free for one that has so many before it."""
        return self._seconds * (ahead // self._count)

    async def _with_memory(self, job: Callable[[], T], deadline: float) -> T:
        """Make the call in a thread; where memory is short it waits outside, so that other images get the thread."""
        while True:
            try:
                return await self._submit(job, deadline)
            except MemoryBusy as busy:
                await self._memory.room(busy.size, deadline)

    def _submit(self, job: Callable[[], T], deadline: float) -> asyncio.Future[T]:
        if self._threads is None:
            raise EngineClosed("the engine has not started")
        return self._threads.submit(partial(self._in_time, job, deadline), urgency=deadline)

    def _in_time(self, job: Callable[[], T], deadline: float) -> T:
        """In the thread, when its turn has come."""
        if self._clock() >= deadline:
            raise DeadlineMissed(MISSED)
        return job()

    def _take(self, jpeg: bytes, route: Route, deadline: float, keyed: bool) -> Taken:
        started = time.perf_counter()
        key = hashlib.sha256(jpeg).hexdigest() if keyed else ""
        lane = route.choose(key) if keyed else route.active
        return Taken(lane, self._decode(jpeg, lane, deadline), key, time.perf_counter() - started)

    def _decode(self, jpeg: bytes, lane: Lane, deadline: float) -> DecodedImage:
        hold = partial(self._memory.held, deadline=deadline)
        crowded = self._wait(len(self._waiting)) > CROWDED
        try:
            return lane.decode(jpeg, self._limits, hold, deadline=deadline, crowded=crowded)
        except MemoryError as error:
            raise Overloaded("there is no memory for this image now") from error
