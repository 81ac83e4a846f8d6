"""What answers look like from outside: total time, time to spare, scores, and who asked. A microsecond a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streetvision.axon.records import RequestRecord
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.counting import Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
_HEADROOM = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.5, 8.0, 8.25, 8.5)
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
OTHER = "other"
"""Label of proven callers without a permit: who they are is theirs to choose, and labels must stay few."""


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
        self._permitted: frozenset[int] = frozenset()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, float] = {}
        registry.register(self)

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Only UIDs with a permit and stake become labels."""
        self._permitted = frozenset(n.uid for n in new.neurons if n.validator_permit and n.stake > 0)

    def __call__(self, record: RequestRecord) -> None:
        """Count one proven request."""
        if not record.authenticated:
            return
        uid = str(record.uid) if record.uid in self._permitted else OTHER
        if uid not in self._last:  # both from 0 on: Prometheus must see the first increase
            self._requests[uid, "answered"] = self._requests[uid, "failed"] = 0
        self._last[uid] = record.arrival
        prediction = record.prediction
        if record.status != 200 or prediction is None:
            self._requests[uid, "failed"] += 1
            return
        self._requests[uid, "answered"] += 1
        stages = record.stages
        self._seconds.observe(stages.admission + stages.body + stages.predict + stages.reply)
        self._scores.observe(prediction.probability)
        if record.headroom is not None:
            self._headroom.observe(record.headroom)

    def collect(self) -> Sequence[Metric]:
        """Who asked, how often, and when last."""
        requests = CounterMetricFamily(
            "streetvision_validator_requests", "Proven requests by validator and outcome", labels=["uid", "outcome"]
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        last = GaugeMetricFamily(
            "streetvision_validator_last_request_timestamp_seconds", "Newest request by validator", labels=["uid"]
        )
        for uid, moment in self._last.items():
            last.add_metric([uid], moment)
        return requests, last
