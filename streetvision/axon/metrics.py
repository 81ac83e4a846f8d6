"""Counters of the axon on an injected registry; label children are kept: a look-up costs more than a count."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision.axon.wire import Dialect
from streetvision.base.histogram import Histogram

STAGES = ("admission", "body", "predict", "reply")
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class AxonMetrics:
    """What the axon counts. All names start with `streetvision_axon_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "streetvision_axon_requests",
            "Requests by dialect, status and reason",
            ["dialect", "status", "reason"],
            registry=registry,
        )
        stages = Histogram(
            "streetvision_axon_stage_seconds",
            "Time that answered requests spent in each stage",
            ["stage"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stages = [stages.labels(stage) for stage in STAGES]
        self._children: dict[tuple[Dialect, int, str], Counter] = {}
        self.connections = Gauge("streetvision_axon_connections", "Open connections", registry=registry)
        self.in_flight = Gauge("streetvision_axon_in_flight", "Requests past the gate", registry=registry)
        self._dropped = Counter(
            "streetvision_axon_dropped_connections",
            "Connections closed without a request to answer",
            ["reason"],
            registry=registry,
        )

    def count(self, dialect: Dialect, status: int, reason: str) -> None:
        """Count one finished request."""
        child = self._children.get((dialect, status, reason))
        if child is None:
            child = self._children[dialect, status, reason] = self._requests.labels(dialect, status, reason)
        child.inc()

    def observe(self, start: float, ends: list[float]) -> None:
        """Record the stages of one answered request from their ends, in the order of STAGES; monotonic seconds."""
        for histogram, end in zip(self._stages, ends, strict=True):
            histogram.observe(end - start)
            start = end

    def dropped(self, reason: str) -> None:
        """Count a connection closed by us: 'evicted', 'silent', 'pipelining', ..."""
        self._dropped.labels(reason).inc()
