"""The chain has not been read for long."""

from __future__ import annotations

from math import isinf

from streetvision.base.wording import duration, plural
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def metagraph_stale(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The chain has not been read for long."""
    age = seen.snapshot_age
    if age is None or age <= limits.stale_s:
        return []
    old = "has never been read" if isinf(age) else f"is {duration(age)} old"
    return [
        Finding(
            code="metagraph_stale",
            severity=Severity.CRITICAL if age >= limits.stale_critical_s else Severity.WARNING,
            title=f"the metagraph {old}",
            evidence=(
                f"The newest snapshot {old}; one is due each minute.",
                f"{plural(seen.chain_failures, 'look')} at the chain failed in a row."
                if seen.chain_failures
                else f"The node answers, but its newest block lies {plural(seen.blocks_behind, 'block')} before ours."
                if seen.blocks_behind
                else "The node answers, but its blocks do not advance.",
            ),
            remedy="Requests are served meanwhile, with old permits and stakes. Check the network and the node; give "
            "more endpoints with --subtensor.chain_endpoint.",
            since=None if isinf(age) else seen.now - age,
            data={"age_s": None if isinf(age) else round(age), "failures": seen.chain_failures},
        )
    ]


_AGE = Need("the chain was not asked", lambda seen, _: seen.snapshot_age is not None)

RULES = (
    Rule(
        code="metagraph_stale",
        order=900,
        severity=Severity.CRITICAL,
        fault=Fault.NODE,
        meaning="The metagraph in use is more than ten minutes old",
        remedy="Network, node, or more endpoints with --subtensor.chain_endpoint",
        judge=metagraph_stale,
        needs=(_AGE,),
        check="chain",
    ),
)
