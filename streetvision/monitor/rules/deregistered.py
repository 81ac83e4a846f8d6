"""The UID is lost."""

from __future__ import annotations

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds


def deregistered(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The hotkey has no UID."""
    latest = seen.latest
    if latest is None or latest.registered:
        return []
    lost = _loss(seen.points)
    evidence = [f"The metagraph at block {latest.block} has no UID for hotkey {seen.hotkey}."]
    if lost is not None:
        before, after = lost
        evidence.append(
            f"UID {before.uid} was lost between blocks {before.block} and {after.block} (by {moment(after.time)}); its "
            f"emission was {before.emission:.4g} alpha per tempo, its place in the order of eviction {before.position}."
        )
    if latest.registration_price is not None:
        evidence.append(f"Registering costs {latest.registration_price:.4f} TAO now.")
    return [
        Finding(
            code="deregistered",
            severity=Severity.CRITICAL,
            title="the hotkey is not registered: no validator asks it and it earns nothing",
            evidence=tuple(evidence),
            remedy=f"Register again: {seen.register_command}",
            since=lost[1].time if lost else seen.points[0].time,
            data={"price_tao": latest.registration_price, "lost_uid": lost[0].uid if lost else None},
        )
    ]


def _loss(points: tuple[HistoryPoint, ...]) -> tuple[HistoryPoint, HistoryPoint] | None:
    """The last point with a UID and the first without, when the newest has none."""
    for i in range(len(points) - 1, 0, -1):
        if points[i - 1].registered:
            return points[i - 1], points[i]
    return None


RULES = (
    Rule(
        code="deregistered",
        order=100,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The hotkey has no UID on the subnet",
        remedy="Register again; the finding holds the command",
        judge=deregistered,
        needs=(METAGRAPH,),
        check="registered",
        of_subnet=True,
    ),
)
