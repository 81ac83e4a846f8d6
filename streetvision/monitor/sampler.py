"""Lets every request through to what watches, up to a rate that no subnet reaches; beyond it, a sample.

Watching one request takes some microseconds, a few percent of what serving one takes when the model answers at once.
Quotas allow about a hundred requests a second from all validators of a subnet together: so many are always watched, all
of them. In a flood the costs stop growing there, and the shares and quantiles of the sample stand for the whole.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from streetvision.axon.records import RequestRecord

PER_SECOND = 200
"""Watched in each second, of each kind: answered, failed, refused before they were proven."""


class RequestSampler:
    """Asked on the loop's thread, once a request. No kind of request can crowd out another."""

    def __init__(self, registry: CollectorRegistry, most: int = PER_SECOND) -> None:
        self._most = most
        self._second = 0
        self._left = [most, most, most]
        self._skipped = 0
        unwatched = Counter(
            "streetvision_monitor_unwatched_requests",
            "Requests in seconds that had too many to watch each of them",
            registry=registry,
        )
        self._count = unwatched.inc

    def admits(self, record: RequestRecord) -> bool:
        """Whether to watch this request; counts those that are not."""
        second = int(record.arrival)
        if second != self._second:
            self._begin(second)
        kind = 0 if record.status == 200 else 1 if record.authenticated else 2
        if self._left[kind] <= 0:
            self._skipped += 1
            return False
        self._left[kind] -= 1
        return True

    def _begin(self, second: int) -> None:
        self._second, self._left = second, [self._most] * 3
        if self._skipped:
            self._count(self._skipped)
            self._skipped = 0
