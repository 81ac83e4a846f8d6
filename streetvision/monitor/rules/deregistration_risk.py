"""The UID is about to be lost."""

from __future__ import annotations

from streetvision.base.wording import duration, plural
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import DAY, HOUR, SECONDS_PER_BLOCK, Thresholds

_IMPROVE = "improve the answers before then (a better model, docs/models.md), or plan a new registration"


def registrations_per_day(seen: Observation) -> float:
    """The pace of now: the last day as the chain shows it, or the mean of up to three days of history if higher."""
    latest = seen.latest
    if latest is None:
        return 0.0
    recent = [p for p in seen.points if p.time >= seen.now - 3 * DAY]
    span = max(DAY, latest.time - recent[0].time) if recent else DAY
    return max(float(latest.recent_registrations), sum(p.registrations for p in recent) / (span / DAY))


def deregistration_risk(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The UID is near the front of the order of eviction."""
    latest = seen.latest
    if latest is None or not latest.registered or latest.free_uids or latest.unprotected is None:
        return []
    pace = registrations_per_day(seen)
    immunity = _immunity_left(latest)
    left = max(immunity, latest.unprotected / pace * DAY) if pace > 0 else float("inf")
    severity = _risk(latest, left, immunity, limits)
    if severity is None:
        return []
    return [_risk_finding(latest, pace, immunity, left, severity)]


def _immunity_left(latest: HistoryPoint) -> float:
    if latest.immune_until is None:
        return 0.0
    return max(0, latest.immune_until - latest.block) * SECONDS_PER_BLOCK


def _risk(latest: HistoryPoint, left: float, immunity: float, limits: Thresholds) -> Severity | None:
    place = latest.unprotected or 0
    if immunity > 0:
        exposed = latest.position is not None and latest.position <= limits.risk_places
        ending = immunity <= limits.immunity_warning_h * HOUR and place <= limits.immunity_places
        return Severity.WARNING if exposed or ending else None
    if left <= limits.risk_critical_days * DAY:
        return Severity.CRITICAL
    if left <= limits.risk_warning_days * DAY or place <= limits.risk_places:
        return Severity.WARNING
    return None


def _risk_finding(latest: HistoryPoint, pace: float, immunity: float, left: float, severity: Severity) -> Finding:
    blocks = round(immunity / SECONDS_PER_BLOCK)
    evidence = [
        f"UID {latest.uid} is number {latest.position} of {latest.queue} in the chain's order of eviction.",
        f"{pace:.1f} registrations a day now; each evicts one UID, as no UID is free.",
    ]
    if immunity > 0:
        evidence.append(
            f"Immunity lasts {plural(blocks, 'block')} more ({immunity / HOUR:.1f} h); without it the UID would be "
            f"number {latest.unprotected}."
        )
    evidence.append(f"Its emission is {latest.emission:.4g} alpha per tempo.")
    remaining = f"about {duration(left)} left" if left != float("inf") else "nobody registers at present"
    return Finding(
        code="deregistration_risk",
        severity=severity,
        title=f"UID {latest.uid} may be deregistered: {remaining}",
        evidence=tuple(evidence),
        remedy=f"To stay, {_IMPROVE}; `streetvision doctor` says why the emission is low.",
        data={
            "position": latest.position,
            "unprotected_position": latest.unprotected,
            "queue": latest.queue,
            "immunity_blocks": blocks,
            "registrations_per_day": round(pace, 2),
            "seconds_left": None if left == float("inf") else round(left),
        },
    )


RULES = (
    Rule(
        code="deregistration_risk",
        order=110,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The UID is near the front of the chain's order of eviction, or its immunity is about to end there",
        remedy="Improve the answers, or plan a new registration before the time that the finding estimates",
        judge=deregistration_risk,
        needs=(METAGRAPH,),
        check="registered",
        of_subnet=True,
    ),
)
