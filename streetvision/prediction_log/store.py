"""The prediction log as the miner uses it: a hook that never waits, and one thread that writes.

Within TICK_S of its reply a request is on its way to disk. While the files cannot be written, requests wait in memory
up to a bound; what exceeds it is dropped and counted, and the log recovers by itself. While the event loop is saturated
(no validator's real traffic does that) only samples are written and the rest waits or is counted: serving comes first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord
from streetvision.prediction_log.health import LogHealth, LogMetrics
from streetvision.prediction_log.intake import Intake
from streetvision.prediction_log.load import ThreadLoad, calling_thread_cpu
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.writer import Writer

TICK_S = 0.2
SATURATED = 0.5
"""Share of a core used by the event loop's thread from which on the writer gives way."""


class PredictionLog:
    """Listens to the axon's records. Build it on the event loop's thread, whose load it watches."""

    def __init__(
        self,
        folder: Path,
        registry: CollectorRegistry,
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        max_queued_rows: int = 20_000,
        max_queued_bytes: int = 64 * 2**20,
        loop_load: Callable[[], float] | None = None,
    ) -> None:
        self._intake = Intake(max_queued_rows, max_queued_bytes)
        self._append = self._intake.append
        self._metrics = LogMetrics(registry)
        self._writer = Writer(folder, self._intake, self._metrics, limits)
        self._metrics.watch(lambda: len(self._intake), lambda: self._writer.stored_bytes)
        self._loop_load = loop_load or ThreadLoad(calling_thread_cpu(), time.monotonic)
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
            logger.warning("prediction log: {} requests were not written in time", len(self._intake))
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
            queued=len(self._intake),
            queued_bytes=self._intake.held_bytes,
            stored_bytes=self._writer.stored_bytes,
            giving_way=self._intake.giving_way,
            degraded=self._writer.degraded,
        )

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self._writer.tick(giving_way=self._loop_load() > SATURATED)
        self._writer.close()
