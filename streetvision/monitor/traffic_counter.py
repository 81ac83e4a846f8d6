"""Counts requests as they are answered, for the rules; a few microseconds a request, never waits."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable

from streetvision.axon.records import RequestRecord
from streetvision.engine.types import Prediction
from streetvision.monitor.traffic import BUCKET_S, HEADROOM_EDGES, LATENCY_EDGES, SCORE_BINS, Traffic, TrafficBucket
from streetvision.subnet import SUBNET

MAX_CALLERS = 1024
"""Hotkeys whose last request is remembered: more than a subnet has UIDs."""


class TrafficCounter:
    """Listens to the axon's records on the loop's thread."""

    def __init__(self, started: float) -> None:
        """`started`: Unix seconds from which requests can arrive."""
        self._started = started
        self._last = started
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._begin(started)

    def _begin(self, start: float) -> None:
        self._start, self._end = start, start - start % BUCKET_S + BUCKET_S
        self._requests = self._answered = self._positive = 0
        self._gap = self._newest = 0.0
        self._failed: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._validators: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._router: Counter[str] = Counter()
        self._scores = [0] * SCORE_BINS
        self._headroom = [0] * (len(HEADROOM_EDGES) + 1)
        self._latency = [0] * (len(LATENCY_EDGES) + 1)

    def __call__(self, record: RequestRecord) -> None:
        """Count one request. Requests of a bucket that was closed already count in the present one."""
        if record.authenticated and record.hotkey is not None:
            self._proven(record, record.hotkey)
        elif record.hotkey is not None:
            self._rejected[record.reason] += 1

    def _proven(self, record: RequestRecord, hotkey: str) -> None:
        arrival = record.arrival
        self._requests += 1
        self._validators[hotkey] += 1
        if arrival > self._last:
            self._gap = max(self._gap, arrival - self._last)
            self._last = self._newest = arrival
        self._seen[hotkey] = arrival
        self._seen.move_to_end(hotkey)
        if len(self._seen) > MAX_CALLERS:
            self._seen.popitem(last=False)
        if record.status == 200 and record.prediction is not None:
            self._answer(record, record.prediction)
        else:
            self._failed[record.reason] += 1

    def _answer(self, record: RequestRecord, answer: Prediction) -> None:
        probability = answer.probability
        self._answered += 1
        self._positive += probability > SUBNET.threshold
        self._scores[min(SCORE_BINS - 1, int(probability * SCORE_BINS))] += 1
        self._models[answer.model_version] += 1
        if answer.router is not None:
            self._router[str(answer.router)] += 1
        self._latency[bisect_left(LATENCY_EDGES, record.stages.total)] += 1
        if record.headroom is not None:
            self._headroom[bisect_left(HEADROOM_EDGES, record.headroom)] += 1

    def close_due(self, now: float) -> tuple[TrafficBucket, ...]:
        """The bucket that is over by `now`, for the history. An empty one too: silence counts."""
        if self._start <= now < self._end:
            return ()
        bucket = self._bucket()
        self._begin(now - now % BUCKET_S)
        return (bucket,)

    def drain(self, now: float) -> tuple[TrafficBucket, ...]:
        """The bucket that is open, at the end of the process; what follows counts in a new one."""
        bucket = self._bucket()
        self._begin(max(now, self._start))
        return (bucket,)

    def _bucket(self) -> TrafficBucket:
        return TrafficBucket(
            start=self._start,
            span=self._end - self._start,
            requests=self._requests,
            answered=self._answered,
            positive=self._positive,
            failed=dict(self._failed),
            rejected=dict(self._rejected),
            scores=tuple(self._scores),
            headroom=tuple(self._headroom),
            latency=tuple(self._latency),
            longest_gap=self._gap,
            last=self._newest,
            validators=dict(self._validators),
            models=dict(self._models),
            router=dict(self._router),
        )

    def traffic(self, closed: Iterable[TrafficBucket]) -> Traffic:
        """The closed buckets of the history and the one that is being filled, as the rules want it."""
        before = tuple(bucket for bucket in closed if bucket.start < self._start)
        return Traffic((*before, self._bucket()), self._started, dict(self._seen))
