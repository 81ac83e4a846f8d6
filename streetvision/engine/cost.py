"""What a batch will cost: time = a * n + b, fitted to recent batches, so that deadlines are kept or refused early."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median


class CostModel:
    """Predicts the seconds of one forward pass, per bucket, because a batch is padded to its bucket.

    A bucket seen among the last `fresh` batches is predicted by the median of its last `window` runs, which no outlier
    moves; any other by a Theil-Sen line through the fresh medians. So a bucket that once looked slow is tried again.
    """

    def __init__(self, buckets: Sequence[int], *, window: int = 15, fresh: int = 128) -> None:
        if not buckets or any(low >= high for low, high in pairwise(buckets)) or buckets[0] < 1:
            raise ValueError("buckets must be positive and ascending")
        self.buckets = tuple(buckets)
        self._fresh = fresh
        self._samples: dict[int, deque[float]] = {size: deque(maxlen=window) for size in self.buckets}
        self._medians: dict[int, float] = {}
        self._last: dict[int, int] = {}
        self._fastest: dict[int, float] = {}
        self._count = 0
        self._slope, self._start = 0.0, 0.0
        self._shape = (1.0, 0.0)
        self._predicted = dict.fromkeys(self.buckets, 0.0)
        self.best = self.buckets[-1]
        """The bucket of the highest throughput."""

    @property
    def line(self) -> tuple[float, float]:
        """(a, b) in seconds: the cost of one more image and the cost of a batch as such."""
        return self._slope, self._start

    def bucket(self, n: int) -> int:
        """The bucket that a batch of n is padded to; n must not exceed the largest."""
        return self.buckets[bisect_left(self.buckets, n)]

    def seed(self, n: int, seconds: float) -> None:
        """Learn from a warm-up run. Seeds are measured side by side, so they also tell how buckets compare."""
        self.observe(n, seconds)
        self._shape = self.line

    def observe(self, n: int, seconds: float) -> None:
        """Learn from one batch of n that took so long."""
        size = self.bucket(n)
        self._count += 1
        if not self._is_fresh(size):
            self._samples[size].clear()
        self._samples[size].append(seconds)
        self._medians[size] = median(self._samples[size])
        self._last[size] = self._count
        self._fastest[size] = min(seconds, self._fastest.get(size, seconds))
        self._fit()
        self._foresee()

    def predict(self, n: int) -> float:
        """Seconds that a batch of n takes; 0 before the first observation."""
        return self._predicted[self.bucket(n)]

    def fastest(self, n: int) -> float:
        """The least that a batch of n ever took: what to hope for when the last batches are long ago."""
        return self._fastest.get(self.bucket(n), self.predict(n))

    def _is_fresh(self, size: int) -> bool:
        return size in self._last and self._count - self._last[size] < self._fresh

    def _foresee(self) -> None:
        """Once a batch, because every request asks many times."""
        for size in self.buckets:
            line = self._slope * size + self._start
            self._predicted[size] = self._medians[size] if self._is_fresh(size) else line
        self.best = max(self.buckets, key=lambda size: (size / max(self._predicted[size], 1e-9), size))

    def _fit(self) -> None:
        points = [(size, self._medians[size]) for size in self.buckets if self._is_fresh(size)]
        if len(points) == 1:
            self._scale_through(*points[0])
            return
        slopes = [(right[1] - left[1]) / (right[0] - left[0]) for left, right in combinations(points, 2)]
        self._slope = max(0.0, median(slopes))
        self._start = max(0.0, median(seconds - self._slope * size for size, seconds in points))

    def _scale_through(self, size: int, seconds: float) -> None:
        """One bucket alone shows no slope: keep the seeds' shape; with none, take each image to cost the same."""
        slope, start = self._shape
        scale = seconds / max(slope * size + start, 1e-9)
        self._slope, self._start = slope * scale, start * scale
