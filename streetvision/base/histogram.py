"""A histogram that one thread counts in: a tenth of what prometheus_client's own costs, which locks and searches.

Six to nine of them count on the way of every request, so this is what a request can feel of metrics. Read it on the
thread that counts; on another one the newest count may be missing from the sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily


class Series:
    """The counts of one set of labels."""

    __slots__ = ("_counts", "_edges", "_sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges, self._counts, self._sum = edges, [0] * (len(edges) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count one value; a value on an edge belongs below it."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Counts at or below each edge, cumulated as Prometheus wants them, and the sum of all values."""
        names = [*(str(edge) for edge in self._edges), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True)), self._sum


class Histogram:
    """Counts values between `buckets`' edges, for each of the labels' values."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """`buckets` are upper edges, ascending, without infinity."""
        self._name, self._documentation, self._labels = name, documentation, tuple(labelnames)
        self._edges = tuple(float(edge) for edge in buckets)
        if not self._edges or list(self._edges) != sorted(set(self._edges)):
            raise ValueError(f"{name}: edges must ascend")
        self._series: dict[tuple[str, ...], Series] = {}
        if not self._labels:
            self.observe = self.labels().observe
            """Count one value; only where there are no labels."""
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these values; keep it: looking it up costs more than counting."""
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {', '.join(self._labels) or 'none'}")
        return self._series.setdefault(values, Series(self._edges))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The name, so that the registry refuses a second one."""
        yield self._family()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The counts so far."""
        family = self._family()
        for values, series in self._series.items():
            buckets, total = series.buckets()
            family.add_metric(values, buckets, total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
