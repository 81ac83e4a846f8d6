"""What the engine has done, once as Prometheus metrics and once as a plain snapshot."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision.base.histogram import Histogram
from streetvision.engine.types import (
    BadImage,
    DeadlineMissed,
    DeviceLost,
    EngineClosed,
    ImageTooLarge,
    Overloaded,
    Prediction,
    Role,
    RunnerFailure,
)
from streetvision.models.router import RouterOutcome

_REFUSALS = (BadImage, ImageTooLarge, Overloaded, DeadlineMissed, EngineClosed, RunnerFailure, DeviceLost)
REASONS = tuple(kind.reason for kind in _REFUSALS)
_SIZES = tuple(2**power for power in range(11))
_VIEWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
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
    """(a, b) of the active lane's predicted seconds a * n + b of a batch of n."""
    lanes: int
    """Models in memory."""
    switches: int
    """Times that another lane became the active one."""
    canary_fallbacks: int
    """Requests that the active lane answered because the canary failed."""
    compared: dict[str, int]
    """Images computed again after the reply, by the candidate's role (shadow, canary)."""
    dropped: dict[str, int]
    """Images that were to be compared but found no room in the queue, by the candidate's role."""
    views: dict[int, int]
    """Predictions, by the number of passes that went into them."""
    view_failures: int
    """Forward passes that failed over further views; their requests were answered without them."""
    router: dict[str, int]
    """Predictions of a version with a router, by RouterOutcome."""
    served: dict[str, int]
    """Predictions, by who computed them."""
    remote_failures: dict[str, int]
    """Batches that a backend did not answer as it should, by trouble."""
    taken_over: dict[str, int]
    """Requests that the embedded model took over from a backend, by reason."""


class EngineMetrics:
    """Counts in `registry`; make one per registry, for names in it are unique."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        waiting: Callable[[], int],
        running: Callable[[], int],
        lanes: Callable[[], int],
    ) -> None:
        self.answered = self.cancelled = self.retried = self.switches = self.fallbacks = self.view_failures = 0
        self.views: Tally[int] = Tally()
        self.router: Tally[str] = Tally()
        self.served: Tally[str] = Tally()
        self.remote_failures: Tally[str] = Tally()
        self.taken_over: Tally[str] = Tally()
        self.compared: Tally[str] = Tally()
        self.dropped: Tally[str] = Tally()
        self.refusals: Tally[str] = Tally()
        self.batches: Tally[int] = Tally()
        depth = Gauge("streetvision_engine_queue_depth", "Requests waiting, decoded or not", registry=registry)
        depth.set_function(waiting)
        in_flight = Gauge("streetvision_engine_in_flight", "Requests in the forward pass", registry=registry)
        in_flight.set_function(running)
        alive = Gauge("streetvision_engine_lanes", "Models in memory", registry=registry)
        alive.set_function(lanes)
        self._batch_size = Histogram(
            "streetvision_engine_batch_size", "Requests per forward pass", buckets=_SIZES, registry=registry
        )
        self._forward = Histogram(
            "streetvision_engine_forward_seconds",
            "Seconds of a forward pass over one batch of first views",
            buckets=_SECONDS,
            registry=registry,
        )
        self._views = Histogram(
            "streetvision_engine_views", "Passes averaged into a prediction", buckets=_VIEWS, registry=registry
        )
        self._view_failures = Counter(
            "streetvision_engine_view_failures", "Forward passes over further views that failed", registry=registry
        )
        self._router = Counter(
            "streetvision_engine_router",
            "Predictions of a version with a router: whether its second member answered, and why not",
            ["outcome"],
            registry=registry,
        )
        self._incomplete = Counter(
            "streetvision_engine_incomplete", "Answered images whose file lacked its end", registry=registry
        )
        self._seconds = Histogram(
            "streetvision_engine_seconds", "Seconds of a request", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._refused = Counter(
            "streetvision_engine_refused", "Requests without a prediction, by reason", ["reason"], registry=registry
        )
        self._switches = Counter("streetvision_engine_switches", "Changes of the active model", registry=registry)
        self._fallbacks = Counter(
            "streetvision_engine_canary_fallbacks",
            "Requests answered by the active model for a canary",
            registry=registry,
        )
        self._compared = Counter(
            "streetvision_engine_compared", "Images computed again after the reply", ["role"], registry=registry
        )
        self._dropped = Counter(
            "streetvision_engine_compare_dropped", "Images not compared for want of room", ["role"], registry=registry
        )
        for reason in REASONS:
            self._refused.labels(reason)  # a series that begins at 1 hides its first increase from Prometheus
        for outcome in RouterOutcome:
            self._router.labels(outcome)
        self._served = Counter(
            "streetvision_engine_served",
            "Predictions, by who computed them: embedded, or the name of a backend",
            ["by"],
            registry=registry,
        )
        self._remote_failures = Counter(
            "streetvision_backend_failures",
            "Batches that a backend on other machines did not answer as it should, by trouble",
            ["trouble"],
            registry=registry,
        )
        self._taken_over = Counter(
            "streetvision_backend_taken_over",
            "Requests on their way to a backend that the embedded model took over, by reason",
            ["why"],
            registry=registry,
        )
        self._stages = {stage: self._seconds.labels(stage) for stage in ("decode", "queue", "inference")}

    def batch(self, size: int, seconds: float) -> None:
        """One forward pass succeeded, in so many seconds."""
        self.batches[size] += 1
        self._batch_size.observe(size)
        self._forward.observe(seconds)

    def answer(self, prediction: Prediction) -> None:
        """One request got its prediction."""
        self.answered += 1
        if prediction.decoded is not None:
            self._incomplete.inc()
        self.views[prediction.views] += 1
        self._views.observe(prediction.views)
        if prediction.router is not None:
            self.router[prediction.router] += 1
            self._router.labels(prediction.router).inc()
        self.served[prediction.served_by] += 1
        self._served.labels(prediction.served_by).inc()
        for stage, histogram in self._stages.items():
            histogram.observe(getattr(prediction.timings, stage))

    def refuse(self, reason: str) -> None:
        """One request ended in an EngineError."""
        self.refusals[reason] += 1
        self._refused.labels(reason).inc()

    def fail_views(self) -> None:
        """A forward pass over further views failed."""
        self.view_failures += 1
        self._view_failures.inc()

    def fail_remote(self, trouble: str) -> None:
        """A backend did not answer a batch as it should."""
        self.remote_failures[trouble] += 1
        self._remote_failures.labels(trouble).inc()

    def take_over(self, why: str) -> None:
        """The embedded model computes a request that a backend was to answer."""
        self.taken_over[why] += 1
        self._taken_over.labels(why).inc()

    def switch(self) -> None:
        """Another lane became the active one."""
        self.switches += 1
        self._switches.inc()

    def fall_back(self) -> None:
        """The active lane takes over a request from the canary."""
        self.fallbacks += 1
        self._fallbacks.inc()

    def compare(self, role: Role) -> None:
        """One image was computed again after the reply."""
        self.compared[role.value] += 1
        self._compared.labels(role.value).inc()

    def drop(self, role: Role) -> None:
        """One image was to be computed again and found no room."""
        self.dropped[role.value] += 1
        self._dropped.labels(role.value).inc()

    def snapshot(
        self, *, decoding: int, queued: int, running: int, cost: tuple[float, float], lanes: int
    ) -> EngineStats:
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
            lanes=lanes,
            switches=self.switches,
            canary_fallbacks=self.fallbacks,
            compared=dict(self.compared),
            dropped=dict(self.dropped),
            views=dict(self.views),
            view_failures=self.view_failures,
            router=dict(self.router),
            served=dict(self.served),
            remote_failures=dict(self.remote_failures),
            taken_over=dict(self.taken_over),
        )
