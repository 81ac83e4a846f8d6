"""The memory that all decodes together may take: reserved before a decode begins, waited for on the event loop."""

from __future__ import annotations

import asyncio
import threading
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from streetvision.engine.types import EngineError, Overloaded

NO_MEMORY = "too many large images are being decoded at once"
TOO_LATE = 0.1
"""Seconds before its deadline at which an image that still waits for memory is refused: it could not be answered."""


class MemoryBusy(Exception):
    """So many bytes are not free now: to be tried again after `MemoryBudget.room`."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@dataclass(order=True, slots=True)
class _Waiter:
    deadline: float
    size: int = field(compare=False)
    free: asyncio.Future[None] = field(compare=False)


class MemoryBudget:
    """Threads hold and give back; coroutines of one event loop wait, the earliest deadline first."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        """`total` in bytes; deadlines are seconds on `clock`."""
        self._total = total
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._waiters: list[_Waiter] = []

    @property
    def used(self) -> int:
        """Bytes held now."""
        return self._used

    @property
    def waiting(self) -> int:
        """Images that wait for room."""
        return len(self._waiters)

    @contextmanager
    def held(self, size: int, deadline: float) -> Iterator[None]:
        """Hold `size` bytes, in any thread; raises MemoryBusy when they are not free or an earlier deadline waits."""
        with self._lock:
            earlier = bool(self._waiters) and self._waiters[0].deadline < deadline
            if earlier or self._used + size > self._total:
                raise MemoryBusy(size)
            self._used += size
        try:
            yield
        finally:
            self._give_back(size)

    async def room(self, size: int, deadline: float) -> None:
        """Wait until `size` bytes are free; raises Overloaded when that takes until shortly before the deadline.

        Nothing is held yet when it returns: whoever has a later deadline stands back until then.
        """
        waiter = _Waiter(deadline, size, asyncio.get_running_loop().create_future())
        with self._lock:
            insort(self._waiters, waiter)
        self._wake()
        try:
            async with asyncio.timeout(max(0.0, deadline - TOO_LATE - self._clock())):
                await waiter.free
        except TimeoutError:
            raise Overloaded(NO_MEMORY) from None
        finally:
            self._forget(waiter)

    def fail(self, error: EngineError) -> None:
        """End every wait with `error`, on the event loop."""
        for waiter in self._take_out(list(self._waiters)):
            if not waiter.free.done():
                waiter.free.set_exception(error)

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size
        self._wake()

    def _wake(self) -> None:
        """Let those go on that fit one after the other, in the order of their deadlines."""
        with self._lock:
            free, count = self._total - self._used, 0
            while count < len(self._waiters) and self._waiters[count].size <= free:
                free -= self._waiters[count].size
                count += 1
            woken = self._waiters[:count]
        for waiter in self._take_out(woken):
            with suppress(RuntimeError):  # the loop is closed and nobody waits any more
                waiter.free.get_loop().call_soon_threadsafe(_let_go, waiter.free)

    def _forget(self, waiter: _Waiter) -> None:
        if self._take_out([waiter]):
            self._wake()  # it may have stood before others that fit

    def _take_out(self, leaving: list[_Waiter]) -> list[_Waiter]:
        """Those of them that still waited."""
        with self._lock:
            found = [waiter for waiter in leaving if any(waiter is other for other in self._waiters)]
            self._waiters = [waiter for waiter in self._waiters if all(waiter is not other for other in found)]
        return found


def _let_go(free: asyncio.Future[None]) -> None:
    if not free.done():
        free.set_result(None)
