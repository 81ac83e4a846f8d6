"""What answers look like from outside: total time, time to spare, scores, and who asked. A microsecond a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streetvision.axon.records import RequestRecord
from streetvision.base.histogram import Histogram
from streetvision.chain.metagraph import MetagraphSnapshot

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
_HEADROOM = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.5, 8.0, 8.25, 8.5)
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
OTHER = "other"
"""Label of proven callers without a permit: who they are is theirs to choose, and labels must stay few."""


@dataclass(slots=True)
class _Caller:
    """What one validator got."""

    answered: int = 0
    failed: int = 0
    last: float = 0.0


class RequestMetrics:
    """Listens to the axon's records and to the watcher, both on the loop's thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "streetvision_request_seconds", "From a request to its answer", buckets=_SECONDS, registry=registry
        )
        self._headroom = Histogram(
            "streetvision_request_headroom_seconds",
            "Time that answers left until their deadline",
            buckets=_HEADROOM,
            registry=registry,
        )
        self._scores = Histogram(
            "streetvision_request_score", "P(roadwork) answered", buckets=_SCORES, registry=registry
        )
        self._other = _Caller()
        self._known: dict[int, _Caller] = {}
        """Every UID that has had a permit."""
        self._permitted: dict[int | None, _Caller] = {}
        registry.register(self)

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Only UIDs with a permit and stake become labels, from 0 on: Prometheus must see the first increase."""
        uids = [n.uid for n in new.neurons if n.validator_permit and n.stake > 0]
        self._permitted = {uid: self._known.setdefault(uid, _Caller()) for uid in uids}

    def __call__(self, record: RequestRecord) -> None:
        """Count one proven request."""
        if not record.authenticated:
            return
        caller = self._permitted.get(record.uid, self._other)
        caller.last = record.arrival
        prediction = record.prediction
        if record.status != 200 or prediction is None:
            caller.failed += 1
            return
        caller.answered += 1
        self._seconds.observe(record.stages.total)
        self._scores.observe(prediction.probability)
        if record.headroom is not None:
            self._headroom.observe(record.headroom)

    def collect(self) -> Sequence[Metric]:
        """Who asked, how often, and when last."""
        requests = CounterMetricFamily(
            "streetvision_validator_requests", "Proven requests by validator and outcome", labels=["uid", "outcome"]
        )
        last = GaugeMetricFamily(
            "streetvision_validator_last_request_timestamp_seconds", "Newest request by validator", labels=["uid"]
        )
        for uid, caller in [*((str(uid), caller) for uid, caller in self._known.items()), (OTHER, self._other)]:
            requests.add_metric([uid, "answered"], caller.answered)
            requests.add_metric([uid, "failed"], caller.failed)
            if caller.last:
                last.add_metric([uid], caller.last)
        return requests, last
