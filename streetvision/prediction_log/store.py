"""The prediction log as the miner uses it: a hook that never waits, and one thread that writes.

Within QUICK_TICK_S of its reply a request is on its way to disk, within TICK_S under load. While the files cannot be
written, requests wait in memory up to a bound; what exceeds it is dropped and counted, and the log recovers by itself.
A flood (more than FLOOD_PER_S for longer than PATIENCE_S: a hundred validators at the end of their quotas) is logged in
samples and the rest of it counted: serving comes first.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord
from streetvision.base.steady_clock import Clock
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.write_health import LogHealth, LogMetrics
from streetvision.prediction_log.write_queue import WriteQueue
from streetvision.prediction_log.writer import Writer

TICK_S = 0.2
QUICK_TICK_S = 0.04
"""While few requests come: what a kill may cost. A tick without requests takes twelve microseconds."""
FEW = 10
"""Requests in a tick."""
FLOOD_PER_S = 1000.0
PATIENCE_S = 2.0
"""A burst as short as this is logged in full, as far as memory goes."""


class PredictionLog:
    """Listens to the axon's records."""

    def __init__(
        self,
        folder: Path,
        registry: CollectorRegistry,
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        max_queued_rows: int = 20_000,
        max_queued_bytes: int = 64 * 2**20,
        wall: Clock = time.time,
    ) -> None:
        self._write_queue = WriteQueue(max_queued_rows, max_queued_bytes)
        self._append = self._write_queue.append
        self._metrics = LogMetrics(registry)
        self._writer = Writer(folder, self._write_queue, self._metrics, limits, wall=wall)
        self._metrics.watch(lambda: self._writer.waiting, lambda: self._writer.stored_bytes)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def __call__(self, record: RequestRecord) -> None:
        """Keep one request for the writer, if its caller is proven. Never waits and never fails."""
        if record.authenticated:
            self._append(record)

    def start(self) -> None:
        """Start the writer; troubles with the files are told and tried again, never raised."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and stop; False when that took longer. From any thread, safe to repeat."""
        self._stop.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("prediction log: {} requests were not written in time", self._writer.waiting)
        return not self._thread.is_alive()

    def health(self) -> LogHealth:
        """A snapshot, from any thread."""
        metrics = self._metrics
        return LogHealth(
            rows_written=metrics.tally["rows"],
            images_written=metrics.tally["images"],
            rows_dropped=dict(metrics.rows_dropped),
            images_dropped=dict(metrics.images_dropped),
            images_evicted=metrics.tally["evicted"],
            queued=self._writer.waiting,
            queued_bytes=self._write_queue.held_bytes,
            stored_bytes=self._writer.stored_bytes,
            giving_way=self._write_queue.sampling,
            degraded=self._writer.degraded,
        )

    def _run(self) -> None:
        flood = Flood(time.monotonic)
        arrived, wait = 0, QUICK_TICK_S
        while not self._stop.wait(wait):
            fresh, arrived = self._write_queue.arrived - arrived, self._write_queue.arrived
            giving_way = flood.lasts(arrived)
            self._writer.tick(giving_way=giving_way)
            wait = pause(fresh, behind=self._writer.behind, giving_way=giving_way)
        self._writer.close()


def pause(fresh: int, *, behind: bool, giving_way: bool) -> float:
    """Seconds until the next tick when `fresh` requests came in the last one."""
    if behind and not giving_way:
        return 0.0
    return TICK_S if giving_way or fresh > FEW else QUICK_TICK_S


class Flood:
    """Tells a flood from a burst. `clock` is monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrived, self._asked = 0, clock()
        self._began: float | None = None

    def lasts(self, arrived: int) -> bool:
        """Whether requests, `arrived` of them so far, have come faster than FLOOD_PER_S for longer than PATIENCE_S."""
        now = self._clock()
        before, self._asked = self._asked, now
        fresh, self._arrived = arrived - self._arrived, arrived
        if fresh <= FLOOD_PER_S * (now - before):
            self._began = None
        elif self._began is None:
            self._began = before
        return self._began is not None and now - self._began > PATIENCE_S
