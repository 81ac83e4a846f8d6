"""How much: token buckets, and the memory that bodies in flight may take."""

from __future__ import annotations

from collections import OrderedDict

from streetvision.axon.wire import Refused


class Bucket:
    """A token bucket on an injected monotonic clock."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, per_second: float, burst: float) -> None:
        self._rate, self._burst, self._tokens, self._at = per_second, burst, burst, float("-inf")

    def take(self, now: float) -> bool:
        """Take one token if there is one; `now` is monotonic seconds."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Quota:
    """One bucket for each proven hotkey; the least recently used is forgotten when the table is full.

    A burst is never more than one minute's quota: who allows 5 a minute does not mean 120 at once.
    """

    def __init__(self, per_minute: float, burst: int, callers: int = 4096) -> None:
        self._per_second, self._callers = per_minute / 60.0, callers
        self._burst = min(float(burst), max(1.0, per_minute))
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, hotkey: str, now: float) -> bool:
        """Whether this hotkey may ask once more now; always, when the quota is 0."""
        if self._per_second <= 0.0:
            return True
        bucket = self._buckets.get(hotkey)
        if bucket is None:
            bucket = self._buckets[hotkey] = Bucket(self._per_second, self._burst)
            if len(self._buckets) > self._callers:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(hotkey)
        return bucket.take(now)


class ByteBudget:
    """Memory shared by the bodies in flight: what does not fit is refused with 503 instead of swelling the process."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.used = 0

    def reserve(self, size: int) -> None:
        """Take `size` bytes; raises Refused when too much is in flight."""
        if self.used + size > self._total:
            raise Refused(503, "body_budget", "Too many large requests at once.")
        self.used += size

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self.used -= size


class Share:
    """One request's part of a budget: its body while that is read, its image from then until it is answered."""

    __slots__ = ("_budget", "size")

    def __init__(self) -> None:
        self._budget: ByteBudget | None = None
        self.size = 0

    def grow(self, budget: ByteBudget, size: int) -> None:
        """Take `size` more bytes of `budget`, the same one each time; raises Refused when they do not fit."""
        budget.reserve(size)
        self._budget = budget
        self.size += size

    def settle(self, budget: ByteBudget, size: int) -> None:
        """Hold `size` bytes of `budget` and nothing else; raises Refused, holding nothing, when they do not fit."""
        self.release()
        self.grow(budget, size)

    def release(self) -> None:
        """Give everything back; safe to call twice."""
        if self._budget is not None:
            self._budget.release(self.size)
        self._budget, self.size = None, 0
