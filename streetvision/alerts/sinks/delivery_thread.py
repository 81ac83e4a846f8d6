"""The thread that speaks to the sinks: serving, in its own thread, never waits for any of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from streetvision.alerts.alert import Alert
from streetvision.alerts.metrics import MonitorMetrics
from streetvision.alerts.sinks.delivery import DeliveryError, Patience, deliver, exchange
from streetvision.alerts.sinks.outbox import Deliver, DeliveryRecord, Outbox, SinkHealth
from streetvision.alerts.sinks.ping import Ping, Pulse
from streetvision.alerts.sinks.sink import Sink
from streetvision.settings.alerts import AlertSettings

TICK_S = 2.0
"""Between two looks at the pulse: a change of it is told at once."""
RETRY_S = 30.0
"""After a ping that failed."""
PING_S = 10.0
"""Time limit of one ping."""


class DeliveryThread:
    """Made and closed by one thread; `send` by any."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        metrics: MonitorMetrics,
        *,
        ping: Ping | None = None,
        ping_every_s: float = 60 * AlertSettings.ping_minutes,
        pulse: Callable[[], Pulse] = lambda: Pulse.WELL,
        patience: Patience = Patience(),  # noqa: B008 - immutable
        tick_s: float = TICK_S,
    ) -> None:
        """`pulse` is asked in the delivery thread."""
        send: Deliver = lambda sink, alert: deliver(sink, alert, patience)  # noqa: E731
        self._outboxes = {sink.name: Outbox(sink, metrics, send) for sink in sinks}
        self._ping, self._every_s, self._pulse, self._tick_s = ping, ping_every_s, pulse, tick_s
        self._pings = DeliveryRecord("ping", metrics)
        self._thread = threading.Thread(target=self._main, name="alerts", daemon=True)
        self._work_task: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._ready = threading.Event()

    def start(self) -> None:
        """Begin; without a sink or a ping there is nothing to begin."""
        if self._outboxes or self._ping is not None:
            self._thread.start()
            self._ready.wait()

    def send(self, alert: Alert, only: str | None = None) -> None:
        """Hand a message to every sink, or to the one of that name if it is still there."""
        for name, outbox in self._outboxes.items():
            if only in (None, name):
                outbox.put(alert)

    def waiting(self) -> Mapping[str, tuple[Alert, ...]]:
        """Messages that are not delivered yet, by sink."""
        return {name: waiting for name, outbox in self._outboxes.items() if (waiting := outbox.waiting())}

    def health(self) -> tuple[SinkHealth, ...]:
        """Health of each sink, the ping last."""
        found = [outbox.health() for outbox in self._outboxes.values()]
        if self._ping is not None:
            tally = self._pings.tally
            found.append(
                SinkHealth("ping", self._ping.where, tally["sent"], tally["failed"], 0, 0, self._pings.trouble)
            )
        return tuple(found)

    def close(self, seconds: float = 1.0) -> None:
        """Give what waits that long, then end; `waiting` tells what is left then."""
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and self.waiting() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._work_task is not None and self._thread.is_alive():
            loop, task = self._work_task
            with contextlib.suppress(RuntimeError):  # it ended just now
                loop.call_soon_threadsafe(task.cancel)
            self._thread.join(1.0)

    def _main(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._work())

    async def _work(self) -> None:
        jobs = [outbox.run() for outbox in self._outboxes.values()]
        if self._ping is not None:
            jobs.append(self._beat(self._ping))
        working = asyncio.ensure_future(_all(jobs))
        self._work_task = asyncio.get_running_loop(), working
        self._ready.set()
        await working

    async def _beat(self, ping: Ping) -> None:
        """Ping when it is time, and at once when the pulse changes."""
        before: Pulse | None = None
        due = time.monotonic()
        while True:
            pulse = self._pulse()
            if pulse is not before or time.monotonic() >= due:
                done = await self._ping_once(ping, pulse)
                due = time.monotonic() + (self._every_s if done else min(RETRY_S, self._every_s))
            before = pulse
            await asyncio.sleep(min(self._tick_s, max(0.0, due - time.monotonic())))

    async def _ping_once(self, ping: Ping, pulse: Pulse) -> bool:
        request = ping.beat(pulse)
        if request is None:
            return True
        try:
            await exchange(request, PING_S)
        except DeliveryError as error:
            self._pings.failed(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - must not end the sinks; its text may hold a secret
            self._pings.failed(type(error).__name__)
            return False
        self._pings.sent()
        return True


async def _all(jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*jobs)
