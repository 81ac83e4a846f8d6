"""Rules about our view of the chain: how old it is, and whether our clock agrees with the others'."""

from __future__ import annotations

from math import isinf
from statistics import median

from streetvision.base.wording import duration, moment, plural
from streetvision.monitor.clock import Verdict, majority
from streetvision.monitor.derived import node_offset, refused_for_time, verdict_of
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import SECONDS_PER_BLOCK, Thresholds

_SYNCHRONISE = "Set the clock right: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."
_ANOTHER_NODE = "Name other nodes with --subtensor.chain_endpoint, several with commas."


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


def clock_skew(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Our clock is off, by several validators' requests, by block time, or because requests are refused for it."""
    refused = _refused(seen, limits)
    found = verdict_of(seen, limits)
    if found not in (Verdict.CLOCK_OFF, Verdict.UNDECIDED) and not refused:
        return []
    undecided = found is Verdict.UNDECIDED
    skew, evidence = _by_validators(seen, limits) or _by_blocks(seen, limits) or (None, ())
    severe = bool(refused) or (skew is not None and abs(skew) >= limits.skew_critical_s and not undecided)
    amount = "" if skew is None else f" by about {duration(abs(skew))} ({'ahead' if skew > 0 else 'behind'})"
    return [
        Finding(
            code="clock_skew",
            severity=Severity.CRITICAL if severe else Severity.WARNING,
            title=f"this machine's clock is off{amount}{', or the node lags by as much' if undecided else ''}",
            evidence=(*evidence, *refused),
            remedy=f"{_SYNCHRONISE} If it is right, the node lags: {_ANOTHER_NODE}" if undecided else _SYNCHRONISE,
            data={"skew_s": None if skew is None else round(skew, 1)},
        )
    ]


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
            remedy=f"Leave the clock as it is. {_ANOTHER_NODE} If the node is your own, look at its peers and its disk "
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
            remedy=f"Leave the clock as it is. {_ANOTHER_NODE}",
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
    """What speaks for our clock."""
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


def _by_validators(seen: Observation, limits: Thresholds) -> tuple[float, tuple[str, ...]] | None:
    offsets = list(seen.offsets.values())
    if not majority(offsets, limits):
        return None
    agreeing = sum(abs(offset) > limits.skew_s for offset in offsets)
    sentence = (
        f"By their requests' times our clock differs from {agreeing} of {len(offsets)} validators' by more than "
        f"{limits.skew_s:g} s, in the middle by {median(offsets):+.1f} s."
    )
    return median(offsets), (sentence,)


def _by_blocks(seen: Observation, limits: Thresholds) -> tuple[float, tuple[str, ...]] | None:
    offset = node_offset(seen, limits)
    if offset is None or -limits.skew_s <= offset <= limits.block_delay_s:
        return None
    sentence = (
        f"Our clock less the time of the node's newest block is {offset:+.1f} s; 0 to {limits.block_delay_s:g} s are "
        "usual."
    )
    return offset, (sentence,)


def _refused(seen: Observation, limits: Thresholds) -> tuple[str, ...]:
    refused, last = refused_for_time(seen, limits), seen.traffic.last_request
    if not refused:
        return ()
    silence = "none was ever accepted" if last is None else f"the last accepted one came {moment(last)}"
    return (
        f"Lately {refused} requests in validators' names were refused because their time was too far from ours; "
        f"{silence}.",
    )


CHAIN_RULES = (
    Rule(
        "metagraph_stale",
        Severity.CRITICAL,
        "The metagraph in use is more than ten minutes old",
        "Network, node, or more endpoints with --subtensor.chain_endpoint",
        metagraph_stale,
    ),
    Rule(
        "clock_skew",
        Severity.CRITICAL,
        "This machine's clock differs from several validators', or from block time while nobody vouches for it, or "
        "requests are refused for it",
        "Synchronise the clock (NTP)",
        clock_skew,
    ),
    Rule(
        "node_lags",
        Severity.CRITICAL,
        "The chain's node shows old blocks, while validators' clocks or the kernel say that ours is right, or fewer "
        "blocks than were seen before; nothing else is judged by it meanwhile",
        "Other nodes with --subtensor.chain_endpoint; not the clock",
        node_lags,
    ),
    Rule(
        "node_ahead",
        Severity.WARNING,
        "The chain's node shows blocks from the future, while validators' clocks or the kernel say that ours is right",
        "Other nodes with --subtensor.chain_endpoint; not the clock",
        node_ahead,
    ),
)
