"""Who hears of each request, after its reply: one listener after the other, none of which can starve the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from loguru import logger
from prometheus_client import CollectorRegistry, Counter

from streetvision.axon.quota import Bucket
from streetvision.axon.records import RequestRecord

RecordListener = Callable[[RequestRecord], None]
"""Called on the event loop; must not wait."""


class RecordListeners:
    """Tells each listener of a request, in order. One that raises is counted and logged, and the next one is told."""

    def __init__(
        self,
        every: Sequence[RecordListener],
        registry: CollectorRegistry,
        *,
        sampled: Sequence[RecordListener] = (),
        admits: Callable[[RequestRecord], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every` hear of every request, and before `sampled`, which hear of those that `admits` lets through."""
        self._every, self._sampled, self._admits, self._clock = every, sampled, admits, clock
        self._failures = Counter(
            "streetvision_axon_hook_failures", "Exceptions in what listens to requests", registry=registry
        )
        self._log_lines = Bucket(1.0, 5.0)

    def tell(self, record: RequestRecord) -> None:
        """Tell all of them; never raises."""
        self._tell(self._every, record)
        if self._sampled and self._admits(record):
            self._tell(self._sampled, record)

    def _tell(self, listeners: Sequence[RecordListener], record: RequestRecord) -> None:
        for listener in listeners:
            try:
                listener(record)
            except Exception as error:  # noqa: BLE001 - a defect in one of them: counted, never felt by the caller
                self._failures.inc()
                if self._log_lines.take(self._clock()):
                    logger.opt(exception=error).error("a listener of requests failed: {!r}", error)
