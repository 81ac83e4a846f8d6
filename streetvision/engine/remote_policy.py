"""When a backend on other machines is asked, believed and given up: pure, told the time by its caller.

The rules are those of Dean and Barroso, "The Tail at Scale" (2013): what an answer takes is learnt as a quantile, and
what takes longer is asked of somebody else too. A circuit breaker keeps requests away from a backend that fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePolicy:
    """How patient we are; seconds where nothing else is said."""

    in_flight: int = 8
    """Batches on the way at once, at most."""
    largest: int = 32
    """Pictures in a batch, at most."""
    quantile: float = 0.95
    """Of the latencies of a batch size, the one that is expected."""
    window: int = 128
    """Latencies remembered of a batch size."""
    patience: float = 3.0
    """How many times the expected latency a batch may take before it counts as late."""
    least_patience: float = 0.1
    most_patience: float = 1.5
    in_a_row: int = 3
    """Failures in a row that open the breaker."""
    share: float = 0.5
    """Of the last `outcomes`, the failures that open it too."""
    outcomes: int = 20
    first_pause: float = 0.25
    """From opening to the first probe; each probe doubles it."""
    longest_pause: float = 5.0
    jitter: float = 0.2
    """Share of a pause that is drawn, so that many miners do not probe at once."""
    probe_seconds: float = 60.0
    """Longest wait for one probe: a cold backend loads the model first."""
    safety: float = 1.25
    """By what the embedded model's predicted time is multiplied when we work out how long we can wait."""
    margin: float = 0.05
    """Left over when the embedded model takes a request over for its deadline."""


class Latencies:
    """What answers take, by batch size in powers of two: a quantile over the last ones."""

    def __init__(self, policy: RemotePolicy) -> None:
        self._policy = policy
        self._seconds: dict[int, deque[float]] = {}
        self._expected: dict[int, float] = {}

    def observe(self, n: int, seconds: float) -> None:
        """A batch of n took so long, or was given up after so long."""
        size = _rounded(n)
        seen = self._seconds.setdefault(size, deque(maxlen=self._policy.window))
        seen.append(seconds)
        ordered = sorted(seen)
        self._expected[size] = ordered[min(len(ordered) - 1, ceil(self._policy.quantile * len(ordered)) - 1)]

    def expected(self, n: int) -> float | None:
        """Seconds that all but a few batches of n take; None before the first answer.

        A size that was never seen is taken to cost as much a picture as the next smaller one, so too much.
        """
        size = _rounded(n)
        if not self._expected or size in self._expected:
            return self._expected.get(size)
        smaller = max((known for known in self._expected if known < size), default=0)
        if smaller:
            return self._expected[smaller] * size / smaller
        return self._expected[min(self._expected)]

    def patience(self, n: int) -> float:
        """Seconds after which a batch of n is late."""
        policy, expected = self._policy, self.expected(n)
        if expected is None:
            return policy.most_patience
        return min(policy.most_patience, max(policy.least_patience, policy.patience * expected))


class Window:
    """How many batches may be on the way at once: one more for each round that went well, half of them after overload.

    The rule is TCP's (additive increase, multiplicative decrease; Chiu and Jain, 1989): several miners that share a
    backend come to equal shares of what it can carry, and none of them learns of the others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(min(2, most))
        self._shrunk_at = 0.0

    @property
    def size(self) -> int:
        """Batches."""
        return int(self._size)

    def grow(self) -> None:
        """A batch was answered in time."""
        self._size = min(float(self._most), self._size + 1 / self._size)

    def shrink(self, sent: float, now: float) -> None:
        """A batch that was sent at `sent` met overload; those sent before the last time tell nothing new."""
        if sent >= self._shrunk_at:
            self._size, self._shrunk_at = max(1.0, self._size / 2), now


class BreakerState(StrEnum):
    """Whether requests go to the backend."""

    CLOSED = "closed"
    """They do."""
    OPEN = "open"
    """The embedded model answers all of them; a probe is due after a pause."""
    HALF_OPEN = "half_open"
    """As open, and probes are on their way."""


class Breaker:
    """Starts open: until its first probe has passed, nobody knows whether the backend is there, warm and the right one.

    A probe shows a picture of our own, so that no request is at risk.
    """

    def __init__(self, policy: RemotePolicy, draw: Callable[[], float], now: float) -> None:
        """`draw` gives a number in [0, 1)."""
        self._policy = policy
        self._draw = draw
        self._outcomes: deque[bool] = deque(maxlen=policy.outcomes)
        self._row = 0
        self._pause = policy.first_pause
        self.state = BreakerState.OPEN
        self.since = now
        self.probe_at = now

    @property
    def closed(self) -> bool:
        """Whether requests go to the backend."""
        return self.state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """A batch was answered in time."""
        self._row = 0
        self._outcomes.append(True)

    def failed(self, now: float) -> bool:
        """A batch was not; returns whether the breaker has opened by it."""
        self._row += 1
        self._outcomes.append(False)
        if not self.closed or not (self._row >= self._policy.in_a_row or self._mostly_fails()):
            return False
        self._open(now)
        return True

    def probe(self, now: float) -> None:
        """A probe is on its way; the next one follows whether it has come back or not: it may be lost for ever."""
        self.state = BreakerState.HALF_OPEN
        self._plan(now)
        self._pause = min(self._policy.longest_pause, 2 * self._pause)

    def probe_passed(self, now: float) -> None:
        """It was answered as it should be: the breaker is closed, and what was before is forgotten."""
        self.state, self.since = BreakerState.CLOSED, now
        self._pause, self._row = self._policy.first_pause, 0
        self._outcomes.clear()

    def probe_failed(self) -> None:
        """The last one on its way was not."""
        self.state = BreakerState.OPEN

    def _open(self, now: float) -> None:
        self.state, self.since = BreakerState.OPEN, now
        self._plan(now)

    def _plan(self, now: float) -> None:
        self.probe_at = now + self._pause * (1 - self._policy.jitter * self._draw())

    def _mostly_fails(self) -> bool:
        full = len(self._outcomes) == self._policy.outcomes
        return full and self._outcomes.count(False) >= self._policy.share * self._policy.outcomes


def take_over_at(deadline: float, work: float, policy: RemotePolicy) -> float:
    """When the embedded model must begin for an answer by `deadline`, if it needs `work` seconds for all that wait."""
    return deadline - policy.safety * work - policy.margin


def reaches(now: float, deadline: float, expected: float | None, work: float, policy: RemotePolicy) -> bool:
    """Whether the backend's answer is expected while the embedded model could still take the request over."""
    return now + (policy.most_patience if expected is None else expected) <= take_over_at(deadline, work, policy)


def _rounded(n: int) -> int:
    """The next power of two."""
    return 1 << (n - 1).bit_length()
