"""The disk fills up."""

from __future__ import annotations

from streetvision.base.wording import gib
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def disk_low(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Little space is left where the state is kept."""
    free, total = seen.machine.disk_free, seen.machine.disk_total
    if free is None or not total:
        return []
    if free >= max(limits.disk_critical_bytes, min(limits.disk_bytes, limits.disk_share * total)):
        return []
    folder = seen.machine.disk_folder
    return [
        Finding(
            code="disk_low",
            severity=Severity.CRITICAL if free < limits.disk_critical_bytes else Severity.WARNING,
            title=f"{gib(free)} of disk left",
            evidence=(f"The file system of {folder or 'the state folder'} has {gib(free)} free of {gib(total)}.",),
            remedy=f"Free space (du -xh --max-depth=2 {folder or '/'} | sort -h | tail), or lower --log.max_gib.",
            data={"free": free, "total": total},
        )
    ]


_DISK = Need("no disk reading", lambda seen, _: seen.machine.disk_free is not None)

RULES = (
    Rule(
        code="disk_low",
        order=1100,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The state folder's disk has under 5 % and under 2 GiB free, or under 256 MiB",
        remedy="Free space, or lower `--log.max_gib`",
        judge=disk_low,
        needs=(_DISK,),
        check="disk",
    ),
)
