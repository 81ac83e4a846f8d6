"""This machine's clock is off."""

from __future__ import annotations

from statistics import median

from streetvision.base.wording import duration, moment
from streetvision.monitor.clock import Verdict, majority
from streetvision.monitor.derived import node_offset, refused_for_time, verdict_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.rules.node_time import ANOTHER_NODE
from streetvision.monitor.thresholds import Thresholds

_SYNCHRONISE = "Set the clock right: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."


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
            remedy=f"{_SYNCHRONISE} If it is right, the node lags: {ANOTHER_NODE}" if undecided else _SYNCHRONISE,
            data={"skew_s": None if skew is None else round(skew, 1)},
        )
    ]


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


_TIMES = Need(
    "too few readings of the node's or validators' time",
    lambda seen, limits: bool(seen.offsets) or node_offset(seen, limits) is not None,
)

RULES = (
    Rule(
        code="clock_skew",
        order=910,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="This machine's clock differs from several validators', or from block time while nobody vouches for "
        "it, or requests are refused for it",
        remedy="Synchronise the clock (NTP)",
        judge=clock_skew,
        needs=(_TIMES,),
        check="clock",
        absence=proves_after_requests,
    ),
)
