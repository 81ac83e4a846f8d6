"""Is the serving model still well? Judged by the outcomes of the last minute; pure, the time is an argument.

Three things look like a sick model and need not be one: bad images, more requests than any model could answer, and a
caller who sends nothing but black pictures. So what is only suspicious (a failure, one answer for all, lateness) is a
reason to show the model golden pictures, see manager.py; only failures on several different images condemn it here.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass
from math import inf

from streetvision.engine.types import Outcome, Role
from streetvision.models.golden import MIN_SPREAD
from streetvision.rollout.report import LATE, MODEL_FAULTS
from streetvision.rollout.stats import quantile, surely_above

WINDOW_S = 60.0
LEAST_KEPT = 20
"""Requests that stay in view where a minute holds fewer: validators ask a few times a minute."""
MOST_KEPT = 20_000
OLDEST_S = 3600.0
MIN_FAILURES = 5
"""Different images that must fail within the window before failures alone condemn the model."""
MAX_ERROR_RATE = 0.05
RISK = 1e-3
"""Chance that failures of a model just within that rate look like more."""
RECENT = 10
"""So many different images in a row with one and the same answer are suspicious."""
NEAR_DEADLINE = 0.8
"""Share of the caller's time that the slowest answers may take."""
ANSWERED, CLOSE, LATE_KIND, FAILED = "answered", "close", "late", "failed"
"""How a request ended; `close` is answered, but near the deadline."""


@dataclass(frozen=True, slots=True)
class Sickness:
    """What is wrong: `certain` condemns the model, anything else calls for a look with golden pictures."""

    certain: bool
    reason: str


class Health:
    """The last minute of one serving model. `feed` is called on the event loop; `judge` once a second."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._events: deque[tuple[float, str]] = deque()
        self._counts: Tally[str] = Tally()
        self._last = dict.fromkeys((ANSWERED, CLOSE, LATE_KIND, FAILED), -inf)
        self._absolved = -inf
        self._failures: deque[tuple[float, str]] = deque(maxlen=4096)
        self._logits: dict[str, float] = {}
        self._seconds: deque[float] = deque(maxlen=512)

    def feed(self, outcome: Outcome, now: float) -> None:
        """Take in an outcome; only what this model did for a caller counts."""
        if outcome.role is not Role.ACTIVE or outcome.version != self.version or outcome.comparison:
            return
        kind = _kind(outcome)
        if kind is None:
            return
        self._events.append((now, kind))
        self._counts[kind] += 1
        self._last[kind] = now
        if kind == FAILED:
            self._failures.append((now, outcome.image_key))
        self._remember(outcome)
        self._forget(now)

    def judge(self, now: float) -> Sickness | None:
        """What is wrong with the model; None if it is well as far as the last minute tells."""
        self._forget(now)
        failing, answered = len({key for _, key in self._failures}), self._answered
        if failing >= MIN_FAILURES and surely_above(failing, failing + answered, MAX_ERROR_RATE, RISK):
            return Sickness(True, f"it failed on {failing} different images and answered {answered} requests")
        doubt = self._doubt(failing)
        return None if doubt is None else Sickness(False, doubt)

    def absolve(self, now: float) -> None:
        """The golden pictures were answered well: what happened until now is no reason to look again."""
        self._absolved = now

    @property
    def seconds(self) -> tuple[float, ...]:
        """Its latest forward passes, for a candidate to be compared with."""
        return tuple(self._seconds)

    def to_json(self) -> dict[str, float | int | None]:
        """The window's counts and the p99 of the forward pass."""
        return {
            "answered": self._answered,
            "failed": self._counts[FAILED],
            "late": self._counts[LATE_KIND],
            "p99": quantile(sorted(self._seconds), 0.99),
        }

    @property
    def _answered(self) -> int:
        return self._counts[ANSWERED] + self._counts[CLOSE]

    def _doubt(self, failing: int) -> str | None:
        if failing and self._is_news(FAILED):
            return f"it failed on {failing} different images"
        logits = self._logits.values()
        if len(logits) >= RECENT and max(logits) - min(logits) < MIN_SPREAD and self._is_news(ANSWERED, CLOSE):
            return f"it gave the same answer to the last {len(logits)} different images"
        late, close, answered = self._counts[LATE_KIND], self._counts[CLOSE], self._answered
        if late and self._is_news(LATE_KIND):
            return f"{late} requests were too late beside {answered} that were answered"
        if answered >= LEAST_KEPT and close > 0.01 * answered and self._is_news(CLOSE):
            return f"{close} of {answered} answers took more than {NEAR_DEADLINE:.0%} of the time that callers give"
        return None

    def _is_news(self, *kinds: str) -> bool:
        return max(self._last[kind] for kind in kinds) > self._absolved

    def _remember(self, outcome: Outcome) -> None:
        if outcome.inference is not None:
            self._seconds.append(outcome.inference)
        if outcome.logit is None:
            return
        if self._logits.pop(outcome.image_key, None) is None and len(self._logits) >= RECENT:
            del self._logits[next(iter(self._logits))]
        self._logits[outcome.image_key] = outcome.logit

    def _forget(self, now: float) -> None:
        events = self._events
        while events and (
            now - events[0][0] > (WINDOW_S if len(events) > LEAST_KEPT else OLDEST_S) or len(events) > MOST_KEPT
        ):
            self._counts[events.popleft()[1]] -= 1
        while self._failures and (not events or self._failures[0][0] < events[0][0]):
            self._failures.popleft()


def _kind(outcome: Outcome) -> str | None:
    """How the request ended, as far as it says something of the model."""
    if outcome.error is None:
        given = outcome.seconds + (outcome.headroom or 0.0)
        near = outcome.headroom is not None and outcome.seconds > NEAR_DEADLINE * given
        return CLOSE if near else ANSWERED
    if outcome.error in MODEL_FAULTS:
        return FAILED
    return LATE_KIND if outcome.error in LATE else None
