"""The gates of a shadow or a canary: what its numbers must show before it may serve, and what ends it.

Pure: numbers in, verdict out. Promoting wrongly costs money and ending wrongly costs a second try, so a candidate is
promoted only when every gate has passed on enough different images, and ended as soon as one gate has surely failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt

from streetvision.models.golden import MIN_SPREAD
from streetvision.rollout.stats import look_z, quantile, surely_above, wilson
from streetvision.settings.model import RolloutSettings
from streetvision.settings.network import AxonSettings
from streetvision.subnet import SUBNET

DEADLINE_S = SUBNET.timeout_s - AxonSettings.deadline_margin
"""Seconds in which validators must have an answer, unless a setting says otherwise."""
HARMLESS_SHARE = 0.1
"""Share of the deadline within which no forward pass is too slow, whatever it is compared with."""
MIN_LATE = 4
"""Requests that a candidate must be too late for before that can end it."""
LATE_RISK = 1e-3
"""Chance of taking bad luck for lateness; each late request has cost its caller half of its time."""
SHIFT_Z = 4.0
"""Standard errors by which its mean shift must be beyond what is allowed."""
MIN_TIMED = 30
"""Latencies without which there is no p99 to speak of."""
MIN_COMPARED = 20
"""Different images without which neither a shift nor one and the same answer condemns anybody."""


class Decision(StrEnum):
    """What the gates say."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A decision and why: one sentence per gate, those that decided first."""

    decision: Decision
    evidence: tuple[str, ...]

    @property
    def why(self) -> str:
        """The evidence that weighed most."""
        return self.evidence[0] if self.evidence else "nothing was measured yet"


@dataclass(frozen=True, slots=True)
class Gates:
    """What is asked of a candidate; the settings --rollout.*."""

    min_samples: int = RolloutSettings.min_samples
    """Different images that both models answered."""
    min_agreement: float = RolloutSettings.min_agreement
    """Share of equal decisions (both sides of 0.5): its lower confidence bound must reach this."""
    max_error_rate: float = RolloutSettings.max_error_rate
    """Share of different images that the model fails on."""
    max_p99_ratio: float = RolloutSettings.max_p99_ratio
    """p99 of the forward pass to that of the active model."""
    max_shift: float = RolloutSettings.max_shift
    """Mean absolute difference in probability from the active model's answers."""
    harmless_s: float = HARMLESS_SHARE * DEADLINE_S
    """A p99 below this passes whatever the ratio: a tenth of the validators' deadline costs nothing."""


@dataclass(frozen=True, slots=True)
class AgreementCheck:
    """Agreement as it stood when the number of samples reached `min_samples`, twice that, four times that ..."""

    number: int
    samples: int
    agreed: int


@dataclass(frozen=True, slots=True)
class Stats:
    """A candidate's numbers beside the active model's at one moment; see report.py for how they are gathered."""

    samples: int = 0
    """Different images that both models answered."""
    agreed: int = 0
    look: AgreementCheck | None = None
    mean_shift: float = 0.0
    """Mean |difference| in probability."""
    shift_error: float = 0.0
    """Standard error of that mean."""
    images: int = 0
    """Different images that the candidate was given, whether answered or not."""
    failed: int = 0
    """Those of them on which the model failed."""
    insane: int = 0
    """Answers that are no finite number."""
    spread: float = inf
    """Largest less smallest logit of the candidate on the last images compared (at most MIN_COMPARED)."""
    active_spread: float = inf
    """The same of the active model on the same images."""
    seconds: tuple[float, ...] = ()
    """The candidate's forward passes, ascending."""
    active_seconds: tuple[float, ...] = ()
    asked: int = 0
    """Requests to the candidate that it answered or was late for."""
    late: int = 0
    """Those it refused or missed for want of time."""
    active_asked: int = 0
    active_late: int = 0


def judge(stats: Stats, gates: Gates) -> GateVerdict:
    """What these numbers call for."""
    condemned = tuple(_condemned(stats, gates))
    if condemned:
        return GateVerdict(Decision.ROLLBACK, condemned)
    missing = tuple(_missing(stats, gates))
    if missing:
        return GateVerdict(Decision.WAIT, missing)
    return GateVerdict(Decision.PROMOTE, _passed(stats, gates))


def p99_limit(stats: Stats, gates: Gates) -> float | None:
    """The longest p99 allowed, in seconds; None while the active model's is unknown."""
    if len(stats.active_seconds) < MIN_TIMED:
        return None
    return max(gates.harmless_s, gates.max_p99_ratio * (quantile(stats.active_seconds, 0.99) or 0.0))


def _condemned(stats: Stats, gates: Gates) -> Iterator[str]:
    """Gates that have surely failed."""
    if stats.insane:
        yield f"it gave {stats.insane} answers that are no finite number"
    if stats.samples >= MIN_COMPARED and stats.spread < MIN_SPREAD <= stats.active_spread:
        yield f"it gave the same answer to the last {MIN_COMPARED} different images"
    if surely_above(stats.failed, stats.images, gates.max_error_rate):
        yield f"it failed on {stats.failed} of {stats.images} images (at most {gates.max_error_rate:.1%} may)"
    if surely_above(stats.samples - stats.agreed, stats.samples, 1 - gates.min_agreement):
        yield f"it agrees on {stats.agreed} of {stats.samples} images only (wanted: {gates.min_agreement:.1%})"
    if stats.samples >= MIN_COMPARED and stats.mean_shift - SHIFT_Z * stats.shift_error > gates.max_shift:
        yield f"its probabilities differ by {stats.mean_shift:.3f} on average (at most {gates.max_shift:g} may)"
    yield from _too_slow(stats, gates)


def _too_slow(stats: Stats, gates: Gates) -> Iterator[str]:
    limit = p99_limit(stats, gates)
    if limit is not None and len(stats.seconds) >= MIN_TIMED:
        over = sum(seconds > limit for seconds in stats.seconds)
        if surely_above(over, len(stats.seconds), 0.01):
            yield f"{over} of {len(stats.seconds)} of its passes took longer than {limit:.3f} s"
    usual = wilson(stats.active_late, stats.active_asked, 1.0)[1] if stats.active_asked else 0.0
    if stats.late >= MIN_LATE and surely_above(stats.late, stats.asked, usual + gates.max_error_rate, LATE_RISK):
        yield (
            f"it was too late for {stats.late} of {stats.asked} requests, "
            f"the active model for {stats.active_late} of {stats.active_asked}"
        )


def _missing(stats: Stats, gates: Gates) -> Iterator[str]:
    """What a promotion still wants."""
    if stats.samples < gates.min_samples:
        yield f"{stats.samples} of {gates.min_samples} different images were compared"
        return
    bound = _agreement_bound(stats)
    if min(bound, stats.agreed / stats.samples) < gates.min_agreement:
        wanted = 2 * stats.look.samples if stats.look else gates.min_samples
        yield (
            f"agreement is {stats.agreed / stats.samples:.1%} but sure only to be at least {bound:.1%} "
            f"(wanted: {gates.min_agreement:.1%}); the next look is at {wanted} images"
        )
    if stats.failed > gates.max_error_rate * stats.images:
        yield f"it failed on {stats.failed} of {stats.images} images (at most {gates.max_error_rate:.1%} may)"
    if stats.mean_shift > gates.max_shift:
        yield f"its probabilities differ by {stats.mean_shift:.3f} on average (at most {gates.max_shift:g} may)"
    yield from _missing_speed(stats, gates)


def _missing_speed(stats: Stats, gates: Gates) -> Iterator[str]:
    limit = p99_limit(stats, gates)
    p99 = quantile(stats.seconds, 0.99)
    if p99 is None or len(stats.seconds) < min(MIN_TIMED, gates.min_samples):
        yield f"{len(stats.seconds)} of its passes were timed"
    elif limit is None and p99 > gates.harmless_s:
        yield f"its p99 is {p99:.3f} s, and too few passes of the active model were timed to compare it with"
    elif limit is not None and p99 > limit:
        yield f"its p99 is {p99:.3f} s (at most {limit:.3f} s may)"


def _agreement_bound(stats: Stats) -> float:
    look = stats.look
    return 0.0 if look is None else wilson(look.agreed, look.samples, look_z(look.number))[0]


def _passed(stats: Stats, gates: Gates) -> tuple[str, ...]:
    p99, active = quantile(stats.seconds, 0.99) or 0.0, quantile(stats.active_seconds, 0.99) or 0.0
    return (
        f"agrees on {stats.agreed} of {stats.samples} different images, surely at least "
        f"{_agreement_bound(stats):.1%} (wanted: {gates.min_agreement:.1%})",
        f"failed on {stats.failed} of {stats.images} images (allowed: {gates.max_error_rate:.1%})",
        f"probabilities differ by {stats.mean_shift:.3f} on average (allowed: {gates.max_shift:g})",
        f"p99 of a pass {p99:.3f} s beside {active:.3f} s",
    )


def standard_error(total: float, squares: float, n: int) -> float:
    """Of a mean of n values with this sum and this sum of squares; infinite below two values."""
    if n < 2:
        return inf
    return sqrt(max(0.0, squares - total * total / n) / (n - 1) / n)
