"""One change at a time: a second one is refused, and an urgent one may stop the one that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from streetvision.errors import OperatorError


@dataclass(slots=True, eq=False)
class Operation:
    """What is being done now."""

    name: str
    """Such as `the swap to 1.2.0`."""
    task: asyncio.Task[Any] | None
    since: float
    step: Mapping[str, Any] = field(default_factory=dict)
    automatic: bool = False
    """Whether the miner does it by itself, for safety; an operator does not stop that."""
    stopped: str | None = None
    """Why it was stopped from outside."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class OperationLock:
    """Lets one operation in."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.current: Operation | None = None

    @asynccontextmanager
    async def enter(self, name: str, *, automatic: bool = False) -> AsyncIterator[Operation]:
        """Do something under this name; OperatorError while something else is done, or when it is stopped."""
        if self.current is not None:
            raise OperatorError(f"Not now: {self.current.name} is running; try again when it is done.")
        operation = self.current = Operation(name, asyncio.current_task(), self._clock(), automatic=automatic)
        try:
            yield operation
        except asyncio.CancelledError:
            if operation.stopped is None or operation.task is None:
                raise
            operation.task.uncancel()
            raise OperatorError(f"{name[:1].upper()}{name[1:]} was stopped: {operation.stopped}.") from None
        finally:
            self.current = None
            operation.ended.set()

    async def stop(self, why: str) -> None:
        """End what runs, and wait until it has cleaned up; its caller gets an OperatorError with `why`."""
        operation = self.current
        if operation is not None and operation.task is not None:
            operation.stopped = why
            operation.task.cancel()
            await operation.ended.wait()
