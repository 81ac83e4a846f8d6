"""Rules about our view of the chain: how old it is, and whether our clock agrees with the others'."""

from __future__ import annotations

from math import isinf
from statistics import median

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rules.rule import Rule
from streetvision.monitor.thresholds import HOUR, Thresholds
from streetvision.monitor.traffic import BUCKET_S
from streetvision.monitor.wording import duration, moment, plural

_REFUSED = ("stale_nonce", "future_nonce")
_SYNCHRONISE = "Set the clock right: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."


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
    found = _by_validators(seen, limits) or _by_blocks(seen, limits)
    refused = _refused(seen, limits)
    if found is None and not refused:
        return []
    skew, evidence = found or (None, ())
    severe = bool(refused) or (skew is not None and abs(skew) >= limits.skew_critical_s)
    amount = "" if skew is None else f" by about {abs(skew):.0f} s ({'ahead' if skew > 0 else 'behind'})"
    return [
        Finding(
            code="clock_skew",
            severity=Severity.CRITICAL if severe else Severity.WARNING,
            title=f"this machine's clock is off{amount}",
            evidence=(*evidence, *refused),
            remedy=_SYNCHRONISE,
            data={"skew_s": None if skew is None else round(skew, 1)},
        )
    ]


def _by_validators(seen: Observation, limits: Thresholds) -> tuple[float, tuple[str, ...]] | None:
    offsets = sorted(seen.offsets.values())
    if len(offsets) < limits.skew_validators or abs(median(offsets)) <= limits.skew_s:
        return None
    agreeing = sum(abs(offset) > limits.skew_s for offset in offsets)
    sentence = (
        f"By their requests' times our clock differs from {agreeing} of {len(offsets)} validators' by more than "
        f"{limits.skew_s:g} s, in the middle by {median(offsets):+.1f} s."
    )
    return median(offsets), (sentence,)


def _by_blocks(seen: Observation, limits: Thresholds) -> tuple[float, tuple[str, ...]] | None:
    recent = [p.clock_offset for p in seen.points[-60:] if p.clock_offset is not None and p.time >= seen.now - HOUR]
    recent = recent[-4 * limits.skew_points :]
    if len(recent) < limits.skew_points:
        return None
    least = min(recent[-limits.skew_points :])
    if -limits.skew_s <= least <= limits.block_delay_s:
        return None
    sentence = (
        f"Our clock less the time of the newest block was at least {least:+.1f} s in the last {limits.skew_points} "
        f"snapshots; 0 to {limits.block_delay_s:g} s are usual."
    )
    return least, (sentence,)


def _refused(seen: Observation, limits: Thresholds) -> tuple[str, ...]:
    """Strangers can forge such requests, so they count only while no proven one arrives."""
    last = seen.traffic.last_request
    if last is not None and seen.now - last < limits.refused_s:
        return ()
    hour = seen.traffic.total(max(seen.now - limits.recent_s, (last or 0.0) - BUCKET_S), seen.now + 1)
    refused = sum(hour.rejected.get(reason, 0) for reason in _REFUSED)
    if refused < limits.failing_requests:
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
        "This machine's clock differs from several validators' or from block time, or requests are refused for it",
        "Synchronise the clock (NTP)",
        clock_skew,
    ),
)
