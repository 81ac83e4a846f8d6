"""Memory runs out."""

from __future__ import annotations

from streetvision.base.wording import gib, share
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def memory_low(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The kernel may soon kill a process."""
    free, total = seen.machine.memory_available, seen.machine.memory_total
    if free is None or not total or free >= limits.memory_share * total:
        return []
    own = seen.machine.process_bytes
    return [
        Finding(
            code="memory_low",
            severity=Severity.CRITICAL if free < limits.memory_critical_share * total else Severity.WARNING,
            title=f"{gib(free)} of memory left",
            evidence=(
                f"{gib(free)} of {gib(total)} are available ({share(free / total)}).",
                *((f"The miner itself holds {gib(own)}.",) if own is not None else ()),
            ),
            remedy="End other work on this machine (ps aux --sort=-rss | head), or raise the container's limit; if the "
            "miner holds most of it, restart it and please report the growth.",
            data={"available": free, "total": total, "process": own},
        )
    ]


_MEMORY = Need("no memory reading", lambda seen, _: seen.machine.memory_available is not None)

RULES = (
    Rule(
        code="memory_low",
        order=1110,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="Less than a tenth of the memory is available",
        remedy="End other work; restart the miner if it has grown",
        judge=memory_low,
        needs=(_MEMORY,),
        check="memory",
    ),
)
