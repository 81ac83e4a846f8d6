"""What a shadow or canary has shown so far: fed with outcomes, read by the gates and by people. Pure and bounded.

An image counts once, by its hash: a caller that repeats one picture a thousand times proves nothing about a model.
Latencies are those of the forward pass, on both sides, since a shadow waits for idle moments and a canary does not.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

from streetvision.engine.types import Outcome, Role
from streetvision.rollout.gates import MIN_COMPARED, AgreementCheck, Stats, standard_error
from streetvision.rollout.stats import REPORTED_Z, quantile, wilson
from streetvision.subnet import SUBNET

KEPT_SECONDS = 4096
KEPT_SHIFTS = 8192
KEPT_KEYS = 200_000
"""Images remembered as seen; the oldest are forgotten first."""
MODEL_FAULTS = ("runner", "engine")
"""Reasons of errors that are the model's own."""
LATE = ("deadline", "overloaded")
"""Reasons that come from a slow model, or from more requests than any model could answer."""


class Seen:
    """A bounded set of image hashes."""

    def __init__(self, most: int = KEPT_KEYS) -> None:
        self._keys: dict[int, None] = {}
        self._most = most

    def add(self, key: str) -> bool:
        """Remember an image; False if it was there already."""
        short = int(key[:16] or "0", 16)
        if short in self._keys:
            return False
        if len(self._keys) >= self._most:
            del self._keys[next(iter(self._keys))]
        self._keys[short] = None
        return True


class Report:
    """One candidate beside the active model since `at`. `feed` is called on the event loop and never raises."""

    def __init__(
        self,
        role: Role,
        version: str,
        against: str,
        *,
        share: float,
        at: str,
        first_look: int,
        active_seconds: Iterable[float] = (),
    ) -> None:
        """`version` and `against` as the lanes say them; `active_seconds`: the active model's earlier passes."""
        self.role, self.version, self.against = role, version, against
        self.share, self.at = share, at
        self.errors: Tally[str] = Tally()
        self._attempts, self._failures, self._pairs = Seen(), Seen(), Seen()
        self._images = self.failed = self._insane = self._asked = self._late = 0
        self._active_asked = self._active_late = 0
        self._seconds: deque[float] = deque(maxlen=KEPT_SECONDS)
        self._active_seconds: deque[float] = deque(active_seconds, maxlen=KEPT_SECONDS)
        self.samples = self.agreed = self._positive = self._active_positive = 0
        self._shift = self._shift_squares = self._score = 0.0
        self._shifts: deque[float] = deque(maxlen=KEPT_SHIFTS)
        self._logits: deque[tuple[float, float]] = deque(maxlen=MIN_COMPARED)
        self._look: AgreementCheck | None = None
        self._next_look = first_look

    def feed(self, outcome: Outcome) -> None:
        """Take in one outcome of any lane; what concerns neither model is passed over."""
        if outcome.role is Role.ACTIVE and outcome.version == self.against:
            self._feed_active(outcome)
        elif outcome.role is self.role and outcome.version == self.version:
            if self.role is Role.SHADOW or not outcome.comparison:
                self._feed_attempt(outcome)
            if outcome.comparison:
                self._feed_pair(outcome)

    def stats(self) -> Stats:
        """The numbers for the gates."""
        return Stats(
            samples=self.samples,
            agreed=self.agreed,
            look=self._look,
            mean_shift=self._shift / max(1, self.samples),
            shift_error=standard_error(self._shift, self._shift_squares, self.samples),
            images=self._images,
            failed=self.failed,
            insane=self._insane,
            spread=_spread(own for own, _ in self._logits),
            active_spread=_spread(other for _, other in self._logits),
            seconds=tuple(sorted(self._seconds)),
            active_seconds=tuple(sorted(self._active_seconds)),
            asked=self._asked,
            late=self._late,
            active_asked=self._active_asked,
            active_late=self._active_late,
        )

    def to_json(self) -> dict[str, Any]:
        """The report for people and for the journal; None where nothing was measured."""
        samples = self.samples
        low, high = wilson(self.agreed, samples, REPORTED_Z)
        return {
            "role": self.role.value,
            "version": self.version,
            "against": self.against,
            "share": self.share,
            "since": self.at,
            "images": self._images,
            "samples": samples,
            "agreed": self.agreed,
            "agreement": self.agreed / samples if samples else None,
            "agreement_between": [low, high] if samples else None,
            "positive": self._positive,
            "active_positive": self._active_positive,
            "probability_shift": {"mean": self._mean(self._shift), "p95": quantile(sorted(self._shifts), 0.95)},
            "score_shift": self._mean(self._score),
            "latency": _latency(self._seconds),
            "active_latency": _latency(self._active_seconds),
            "failed_images": self.failed,
            "errors": dict(self.errors),
            "late": self._late,
        }

    def _mean(self, total: float) -> float | None:
        return total / self.samples if self.samples else None

    def _feed_active(self, outcome: Outcome) -> None:
        if outcome.comparison:
            return
        self._active_asked += outcome.error is None or outcome.error in LATE
        self._active_late += outcome.error in LATE
        if outcome.inference is not None:
            self._active_seconds.append(outcome.inference)

    def _feed_attempt(self, outcome: Outcome) -> None:
        error = outcome.error
        if error is not None:
            self.errors[error] += 1
        self._asked += error is None or error in LATE
        self._late += error in LATE
        if error is None or error in MODEL_FAULTS:
            self._images += self._attempts.add(outcome.image_key)
            self.failed += error is not None and self._failures.add(outcome.image_key)
            self._insane += error is None and not _sane(outcome)
        if outcome.inference is not None:
            self._seconds.append(outcome.inference)

    def _feed_pair(self, outcome: Outcome) -> None:
        other = outcome.other
        if other is None or other.probability is None or other.logit is None or not _sane(outcome):
            return
        if other.version != self.against or not self._pairs.add(outcome.image_key):
            return
        probability, logit = outcome.probability or 0.0, outcome.logit or 0.0
        self._count_decision(probability > SUBNET.threshold, other.probability > SUBNET.threshold)
        shift = abs(probability - other.probability)
        self._shift += shift
        self._shift_squares += shift * shift
        self._shifts.append(shift)
        self._score += logit - other.logit
        self._logits.append((logit, other.logit))

    def _count_decision(self, own: bool, active: bool) -> None:
        self.samples += 1
        self.agreed += own == active
        self._positive += own
        self._active_positive += active
        if self.samples == self._next_look:
            number = 0 if self._look is None else self._look.number + 1
            self._look = AgreementCheck(number, self.samples, self.agreed)
            self._next_look *= 2


def _sane(outcome: Outcome) -> bool:
    probability, logit = outcome.probability, outcome.logit
    return probability is not None and logit is not None and isfinite(logit) and 0.0 <= probability <= 1.0


def _spread(logits: Iterable[float]) -> float:
    """Largest less smallest; infinite of nothing."""
    values = tuple(logits)
    return max(values) - min(values) if values else inf


def _latency(seconds: Iterable[float]) -> dict[str, float | None]:
    ascending = sorted(seconds)
    return {"p50": quantile(ascending, 0.5), "p99": quantile(ascending, 0.99)}
