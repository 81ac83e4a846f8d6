"""What an operation tells of its progress, on the way to a client that may be slow or gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

KEPT = 256
"""Progress lines that wait for a slow client; older ones are dropped."""

ProgressFields = Mapping[str, Any]


class Feed:
    """Told from any thread, followed by one client; telling never waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[ProgressFields] = deque(maxlen=KEPT)
        self._last: ProgressFields = {}
        self._news = asyncio.Event()

    def tell(self, step: ProgressFields) -> None:
        """Pass a step on."""
        self._loop.call_soon_threadsafe(self._take, dict(step))

    async def follow(self, operation: asyncio.Task[Any], alive_s: float) -> AsyncIterator[ProgressFields]:
        """Every step until the operation ends; after `alive_s` without one, the last again."""
        operation.add_done_callback(lambda _: self._news.set())
        while not operation.done() or self._waiting:
            if self._waiting:
                yield self._waiting.popleft()
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), alive_s)
            if not self._news.is_set():
                yield self._last

    def _take(self, step: ProgressFields) -> None:
        self._last = step
        self._waiting.append(step)
        self._news.set()
