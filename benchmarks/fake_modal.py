"""An app at Modal that is none: containers that start cold, stay warm for a while, tarry and fail. No network.

Times are those that are published: a container starts in 14 to 18 s from a snapshot of a GPU's memory, and a call to a
warm one takes tens of milliseconds on the way. `scale` shortens all of them alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from streetvision.serverless.spending import Bill

COLD_S = (14.0, 18.0)
WAY_S = (0.03, 0.09)
"""There and back, the least and the most of nearly all calls."""
SLOW, SLOW_S = 0.01, 1.5
"""Share of calls that take much longer, and how much."""


@dataclass
class FakeModalApp:
    """An `App` of the transport; one container, whose answers are `container`'s."""

    container: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
    scale: float = 1.0
    idle_s: float = 60.0
    failing: float = 0.0
    """Share of calls that end in `error`."""
    error: Callable[[], Exception] = lambda: RuntimeError("the container was preempted")
    usd: float = 0.0
    """This month's bill."""
    random: Random = field(default_factory=lambda: Random(72))
    calls: int = 0
    starts: int = 0
    released: int = 0
    looks: int = 0
    _warm_until: float = float("-inf")
    _starting: asyncio.Task[None] | None = None

    async def answer(self, head: dict[str, Any], block: bytes) -> object:
        """As Modal does: waits for a container to start, if none is warm."""
        self.calls += 1
        if time.monotonic() > self._warm_until:
            await asyncio.shield(self._start())
        slow = SLOW_S if self.random.random() < SLOW else 0.0
        await asyncio.sleep(self.scale * (self.random.uniform(*WAY_S) + slow))
        self._keep()
        if self.random.random() < self.failing:
            raise self.error()
        return self.container(head, block)

    async def bill(self, now: datetime) -> Bill:
        """As if it covered all until now."""
        self.looks += 1
        return Bill(self.usd, now)

    async def keep_none_warm(self) -> None:
        """Counted."""
        self.released += 1

    def stop(self) -> None:
        """The container is gone, as after a deployment or a preemption."""
        self._warm_until = float("-inf")

    def _start(self) -> asyncio.Task[None]:
        if self._starting is None or self._starting.done():
            self.starts += 1
            self._starting = asyncio.ensure_future(self._warm())
        return self._starting

    async def _warm(self) -> None:
        await asyncio.sleep(self.scale * self.random.uniform(*COLD_S))
        self._keep()

    def _keep(self) -> None:
        self._warm_until = time.monotonic() + self.scale * self.idle_s
