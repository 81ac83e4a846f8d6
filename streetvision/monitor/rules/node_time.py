"""The node's time is wrong, and our clock is right."""

from __future__ import annotations

from statistics import median

from streetvision.base.wording import duration, plural
from streetvision.monitor.clock import Verdict, majority
from streetvision.monitor.derived import node_offset, verdict_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import SECONDS_PER_BLOCK, Thresholds

ANOTHER_NODE = "Name other nodes with --subtensor.chain_endpoint, several with commas."


def node_lags(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The node's newest block is old by a clock that is right, or lies behind a block that we have seen."""
    offset = node_offset(seen, limits) if verdict_of(seen, limits) is Verdict.NODE_LAGS else None
    behind = seen.blocks_behind if seen.blocks_behind * SECONDS_PER_BLOCK >= limits.node_lag_s else 0
    if offset is None and not behind:
        return []
    lag = max(offset or 0.0, behind * SECONDS_PER_BLOCK)
    return [
        Finding(
            code="node_lags",
            severity=Severity.CRITICAL if lag >= limits.stale_critical_s else Severity.WARNING,
            title=f"the chain's node lags by {duration(lag)}",
            evidence=(*_lag_sentences(offset, behind, limits), *_our_clock(seen, limits)),
            remedy=f"Leave the clock as it is. {ANOTHER_NODE} If the node is your own, look at its peers and its disk "
            "and let it catch up. Until then nothing is judged by what it says of the subnet.",
            data={"lag_s": round(lag), "blocks": behind},
        )
    ]


def node_ahead(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The node's blocks come from the future of a clock that is right."""
    if verdict_of(seen, limits) is not Verdict.NODE_AHEAD:
        return []
    offset = node_offset(seen, limits) or 0.0
    return [
        Finding(
            code="node_ahead",
            severity=Severity.WARNING,
            title=f"the node's blocks are dated {duration(-offset)} in the future",
            evidence=(f"Our clock less the time of the newest block was {offset:+.1f} s.", *_our_clock(seen, limits)),
            remedy=f"Leave the clock as it is. {ANOTHER_NODE}",
            data={"offset_s": round(offset, 1)},
        )
    ]


def _lag_sentences(offset: float | None, behind: int, limits: Thresholds) -> tuple[str, ...]:
    sentences = []
    if offset is not None:
        sentences.append(
            f"The node's newest block was {duration(offset)} old when it was read; 0 to {limits.block_delay_s:g} s are "
            "usual."
        )
    if behind:
        sentences.append(f"Its newest block lies {plural(behind, 'block')} before the newest that this miner has seen.")
    return tuple(sentences)


def _our_clock(seen: Observation, limits: Thresholds) -> tuple[str, ...]:
    """The evidence that our clock is right."""
    offsets = list(seen.offsets.values())
    sentences = []
    if majority(offsets, limits) == 0:
        sentences.append(
            f"Our clock is right: it differs from the clocks of {plural(len(offsets), 'validator')} by "
            f"{median(offsets):+.1f} s in the middle."
        )
    if seen.synchronised:
        sentences.append("A time daemon keeps this machine's clock, says the kernel.")
    return tuple(sentences)


_NODE_TIME = Need("too few readings of the node's time", lambda seen, limits: node_offset(seen, limits) is not None)

RULES = (
    Rule(
        code="node_lags",
        order=920,
        severity=Severity.CRITICAL,
        fault=Fault.NODE,
        meaning="The chain's node shows old blocks, while validators' clocks or the kernel say that ours is right, or"
        " fewer blocks than were seen before; nothing else is judged by it meanwhile",
        remedy="Other nodes with --subtensor.chain_endpoint; not the clock",
        judge=node_lags,
        needs=(_NODE_TIME,),
        check="chain",
        absence=proves_after_requests,
    ),
    Rule(
        code="node_ahead",
        order=930,
        severity=Severity.WARNING,
        fault=Fault.NODE,
        meaning="The chain's node shows blocks from the future, while validators' clocks or the kernel say that ours "
        "is right",
        remedy="Other nodes with --subtensor.chain_endpoint; not the clock",
        judge=node_ahead,
        needs=(_NODE_TIME,),
        check="clock",
        absence=proves_after_requests,
    ),
)
