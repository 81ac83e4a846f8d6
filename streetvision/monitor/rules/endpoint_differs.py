"""Validators are sent elsewhere."""

from __future__ import annotations

from streetvision.base.wording import duration
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH, proves_after
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def endpoint_differs(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The chain shows another endpoint than ours, for longer than publishing takes."""
    latest = seen.latest
    if seen.endpoint is None or latest is None or not latest.registered or latest.axon == seen.endpoint:
        return []
    since = max(_wrong_since(seen), seen.traffic.listening_since or 0.0)
    if seen.now - since < limits.endpoint_grace_s:
        return []
    shown = latest.axon or "no endpoint"
    return [
        Finding(
            code="endpoint_differs",
            severity=Severity.CRITICAL,
            title=f"validators call {latest.axon}, not this miner"
            if latest.axon
            else "the chain has no endpoint of ours",
            evidence=(
                f"The chain shows {shown} for UID {latest.uid} at block {latest.block}; this miner listens at "
                f"{seen.endpoint}.",
                f"It has been so for {duration(seen.now - since)}; publishing takes at most 50 blocks (10 min).",
            ),
            remedy="Look for `endpoint:` in the miner's log: it says why the chain refuses to publish (a fee, another "
            "process with the same hotkey). If the address is wrong, name the right one with --axon.external_ip and "
            "--axon.external_port, and restart.",
            since=since,
            data={"on_chain": latest.axon, "ours": seen.endpoint},
        )
    ]


def _wrong_since(seen: Observation) -> float:
    since = seen.points[-1].time
    for point in reversed(seen.points):
        if not point.registered or point.axon == seen.endpoint:
            break
        since = point.time
    return since


_SETTLED_S = 20 * 60.0
"""The rule waits a quarter of an hour after a start."""
_ENDPOINT = Need("the own endpoint is not known", lambda seen, _: seen.endpoint is not None)

RULES = (
    Rule(
        code="endpoint_differs",
        order=500,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The chain shows another endpoint than this miner's for more than 15 minutes",
        remedy="Read why publishing fails in the log, or set --axon.external_ip",
        judge=endpoint_differs,
        needs=(
            METAGRAPH,
            _ENDPOINT,
        ),
        check="endpoint",
        of_subnet=True,
        absence=proves_after(_SETTLED_S),
    ),
)
