"""Answers come late, or nearly."""

from __future__ import annotations

from streetvision.monitor.derived import LATE_REASONS, recent
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import REQUESTS, proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.rules.requests_failing import TOO_SLOW
from streetvision.monitor.thresholds import Thresholds
from streetvision.monitor.traffic import HEADROOM_EDGES, LATENCY_EDGES, quantile


def latency_near_deadline(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Answers leave with little or no time to spare."""
    hour = recent(seen, limits)
    measured = sum(hour.headroom)
    tight = sum(n for n, edge in zip(hour.headroom, HEADROOM_EDGES, strict=False) if edge <= limits.headroom_s)
    late = hour.headroom[0] + sum(n for reason, n in hour.failed.items() if reason in LATE_REASONS)
    too_late = hour.requests >= limits.failing_requests and late >= limits.late_share * hour.requests
    if not too_late and (measured < limits.headroom_answers or tight < max(2.0, 0.01 * measured)):
        return []
    evidence = [f"{late} of {hour.requests} requests of the last hour were answered or refused too late."]
    if measured:
        spare = quantile(hour.headroom, HEADROOM_EDGES, 0.01)
        slow = quantile(hour.latency, LATENCY_EDGES, 0.99)
        evidence.append(
            f"99 of 100 answers leave at least {_floor(spare)} before the deadline and take up to "
            f"{min(slow, seen.timeout_s):g} s of the validators' {seen.timeout_s:g} s."
        )
    return [
        Finding(
            code="latency_near_deadline",
            severity=Severity.CRITICAL if too_late else Severity.WARNING,
            title="answers come too late" if too_late else "the slowest answers are near the deadline",
            evidence=tuple(evidence),
            remedy=TOO_SLOW + " streetvision log stats shows which stage takes the time.",
            data={"late": late, "tight": tight, "answers": measured, "requests": hour.requests},
        )
    ]


def _floor(edge: float) -> str:
    """The lower end of the bin below `edge`."""
    lower = [0.0, *HEADROOM_EDGES][HEADROOM_EDGES.index(edge)] if edge in HEADROOM_EDGES else HEADROOM_EDGES[-1]
    return f"{lower:g} s"


RULES = (
    Rule(
        code="latency_near_deadline",
        order=730,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="More than one answer in a hundred has under a second to spare, or one request in twenty is too late",
        remedy="Less other load, a smaller model, or a GPU",
        judge=latency_near_deadline,
        needs=(REQUESTS,),
        absence=proves_after_requests,
    ),
)
