"""Background tasks that go on whatever happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from loguru import logger

from streetvision.errors import RestartNeeded

RESTART_SECONDS = 5.0

Work = Callable[[], Awaitable[None]]


async def supervised(name: str, work: Work) -> None:
    """Run a background task until it needs a restart: a defect in it is logged and never stops the serving."""
    while True:
        try:
            await work()
        except RestartNeeded:
            raise
        except Exception:  # noqa: BLE001 - the one place where a defect must not end the process
            logger.exception("{} failed; it starts again in {:g} s", name, RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)


@asynccontextmanager
async def supervising(works: Iterable[tuple[str, Work]]) -> AsyncIterator[None]:
    """Keep all of them running meanwhile."""
    tasks = [asyncio.create_task(supervised(name, work), name=name) for name, work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
