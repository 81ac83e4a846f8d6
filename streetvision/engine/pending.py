"""Requests in the engine: counted, so that whatever else there is to do can wait until there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from streetvision.engine.background_priority import Deference
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.types import EngineError


class Pending:
    """How many there are, on one event loop; threads that joined the `deference` stand back while there are any."""

    def __init__(self, deference: Deference) -> None:
        self._deference = deference
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def counted(self, metrics: EngineMetrics) -> Iterator[None]:
        """One request, from its admission to its end; a refusal and a cancelled call are counted in `metrics`."""
        if not self._count:
            self._none.clear()
            self._deference.busy()
        self._count += 1
        try:
            yield
        except EngineError as refusal:
            metrics.refuse(refusal.reason)
            raise
        except asyncio.CancelledError:
            metrics.cancelled += 1
            raise
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()
                self._deference.idle()

    async def none(self) -> None:
        """Wait until no request is in the engine; returns at once when none is."""
        while self._count:
            await self._none.wait()
