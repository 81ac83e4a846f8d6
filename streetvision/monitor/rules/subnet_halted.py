"""No miner earns."""

from __future__ import annotations

from streetvision.monitor.derived import halt_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds


def subnet_halted(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Validators burn the miners' reward, or none of them works."""
    halt = halt_of(seen, limits)
    if halt is None or seen.latest is None:
        return []
    idle = halt.kind == "idle"
    return [
        Finding(
            code="subnet_halted",
            severity=Severity.CRITICAL,
            title="the subnet is halted: miners earn nothing now"
            + (", no validator sets weights" if idle else ", their reward is burned"),
            evidence=halt.evidence,
            remedy="Nothing on this machine is at fault. Keep the miner running, so that it earns from the first tempo "
            "after the halt, and read the subnet's announcements; do not pay for a new registration now.",
            since=halt.since,
            data={"kind": halt.kind, "burn_share": seen.latest.burn_share, "weights_age": seen.latest.weights_age},
        )
    ]


RULES = (
    Rule(
        code="subnet_halted",
        order=310,
        severity=Severity.CRITICAL,
        fault=Fault.SUBNET,
        meaning="Validators burn (nearly) the whole miners' reward, or no validator sets weights: miners earn nothing"
        " now",
        remedy="Keep the miner running and wait; do not register anew",
        judge=subnet_halted,
        needs=(METAGRAPH,),
        of_subnet=True,
    ),
)
