"""What the engine has done, once as Prometheus metrics and once as a plain snapshot."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streetvision.engine.types import Timings

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine at one moment; counts run since it was made."""

    decoding: int
    """Requests whose image waits for a decode thread or is in one."""
    queued: int
    """Requests decoded and waiting for the runner."""
    running: int
    """Requests in the forward pass now."""
    answered: int
    cancelled: int
    """Requests whose caller went away."""
    retried: int
    """Requests computed again alone because their batch failed."""
    refused: dict[str, int]
    """Requests that ended in an EngineError, by its reason."""
    batches: dict[int, int]
    """Forward passes that succeeded, by number of requests in them."""
    cost: tuple[float, float]
    """(a, b) of the predicted seconds a * n + b of a batch of n."""


class EngineMetrics:
    """Counts in `registry`; make one per registry, for names in it are unique."""

    def __init__(
        self,
        registry: CollectorRegistry,
        buckets: Sequence[int],
        *,
        waiting: Callable[[], int],
        running: Callable[[], int],
    ) -> None:
        self.answered = self.cancelled = self.retried = 0
        self.refusals: Tally[str] = Tally()
        self.batches: Tally[int] = Tally()
        depth = Gauge("streetvision_engine_queue_depth", "Requests waiting, decoded or not", registry=registry)
        depth.set_function(waiting)
        in_flight = Gauge("streetvision_engine_in_flight", "Requests in the forward pass", registry=registry)
        in_flight.set_function(running)
        self._batch_size = Histogram(
            "streetvision_engine_batch_size", "Requests per forward pass", buckets=tuple(buckets), registry=registry
        )
        self._seconds = Histogram(
            "streetvision_engine_seconds", "Seconds of a request", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._refused = Counter(
            "streetvision_engine_refused", "Requests without a prediction, by reason", ["reason"], registry=registry
        )
        self._stages = {stage: self._seconds.labels(stage) for stage in ("decode", "queue", "inference")}

    def batch(self, size: int) -> None:
        """One forward pass succeeded."""
        self.batches[size] += 1
        self._batch_size.observe(size)

    def answer(self, timings: Timings) -> None:
        """One request got its prediction."""
        self.answered += 1
        for stage, histogram in self._stages.items():
            histogram.observe(getattr(timings, stage))

    def refuse(self, reason: str) -> None:
        """One request ended in an EngineError."""
        self.refusals[reason] += 1
        self._refused.labels(reason).inc()

    def snapshot(self, *, decoding: int, queued: int, running: int, cost: tuple[float, float]) -> EngineStats:
        """The counts so far, beside the queues as the engine gives them."""
        return EngineStats(
            decoding=decoding,
            queued=queued,
            running=running,
            answered=self.answered,
            cancelled=self.cancelled,
            retried=self.retried,
            refused=dict(self.refusals),
            batches=dict(self.batches),
            cost=cost,
        )
