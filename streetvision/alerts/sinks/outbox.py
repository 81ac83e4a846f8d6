"""The messages of one sink: at most a few wait, one at a time is on its way."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loguru import logger

from streetvision.alerts.alert import Alert
from streetvision.alerts.metrics import DeliveryOutcome, MonitorMetrics
from streetvision.alerts.sinks.delivery import DeliveryError
from streetvision.alerts.sinks.sink import Sink

MAX_WAITING = 20

Deliver = Callable[[Sink, Alert], Awaitable[None]]
"""Sends one message; raises DeliveryError when it was given up."""


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """Deliveries of a sink since the miner started."""

    name: str
    where: str
    sent: int
    failed: int
    dropped: int
    waiting: int
    trouble: str | None
    """Why the last message was given up; None when it arrived."""


class DeliveryRecord:
    """Counts how deliveries end, and logs the beginning and the end of an outage."""

    def __init__(self, name: str, metrics: MonitorMetrics) -> None:
        self._name, self._metrics = name, metrics
        self.tally: Counter[DeliveryOutcome] = Counter()
        self.trouble: str | None = None
        self._lost = 0

    def sent(self) -> None:
        """A message arrived."""
        if self.trouble is not None:
            logger.info("alerts: {} works again; {} given up meanwhile", self._name, self._lost)
        self.trouble, self._lost = None, 0
        self._count("sent")

    def failed(self, why: str) -> None:
        """A message was given up."""
        if self.trouble is None:
            logger.warning("alerts: {} got no message through: {}", self._name, why)
        self.trouble = why
        self._lost += 1
        self._count("failed")

    def dropped(self) -> None:
        """A message made room for newer ones."""
        self._count("dropped")
        self._lost += 1

    def _count(self, outcome: DeliveryOutcome) -> None:
        self.tally[outcome] += 1
        self._metrics.counted(self._name, outcome)


class Outbox:
    """`put` from any thread; `run` is a task of the delivery thread's loop."""

    def __init__(self, sink: Sink, metrics: MonitorMetrics, deliver: Deliver) -> None:
        self.sink = sink
        self._deliver = deliver
        self._record = DeliveryRecord(sink.name, metrics)
        self._lock = threading.Lock()
        self._waiting: deque[Alert] = deque()
        self._wake: Callable[[], object] = lambda: None

    def put(self, alert: Alert) -> None:
        """Never waits. When too many wait, the oldest that is not on its way makes room."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                del self._waiting[1]
                self._record.dropped()
            self._waiting.append(alert)
            self._wake()

    def waiting(self) -> tuple[Alert, ...]:
        """Not yet delivered, oldest first."""
        with self._lock:
            return tuple(self._waiting)

    def health(self) -> SinkHealth:
        """A snapshot."""
        tally, waiting = self._record.tally, len(self.waiting())
        return SinkHealth(
            name=self.sink.name,
            where=self.sink.where,
            sent=tally["sent"],
            failed=tally["failed"],
            dropped=tally["dropped"],
            waiting=waiting,
            trouble=self._record.trouble,
        )

    async def run(self) -> None:
        """Deliver what waits, until cancelled."""
        news, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(news.set)
        try:
            while True:
                news.clear()
                while waiting := self.waiting():
                    await self._send(waiting[0])
                await news.wait()
        finally:
            with self._lock:
                self._wake = lambda: None

    async def _send(self, alert: Alert) -> None:
        try:
            await self._deliver(self.sink, alert)
        except DeliveryError as error:
            self._record.failed(str(error))
        except Exception as error:  # noqa: BLE001 - a defect in one sink must not end the others
            logger.error("alerts: {} failed: {}", self.sink.name, type(error).__name__)  # its text may hold a secret
            self._record.failed(type(error).__name__)
        else:
            self._record.sent()
        with self._lock:
            self._waiting.popleft()
