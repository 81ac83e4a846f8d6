"""Rules about the reward: none for anybody, or less for us."""

from __future__ import annotations

from statistics import fmean, median

from streetvision.base.wording import share
from streetvision.monitor.derived import halt_of
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.thresholds import DAY, Thresholds

Epochs = tuple[HistoryPoint, ...]
Fall = tuple[str, float, float]
"""Over which time, from which emission, to which."""


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


def emission_fell(seen: Observation, limits: Thresholds) -> list[Finding]:
    """We earn clearly less than before."""
    epochs = _paid_epochs(seen, limits)
    if not epochs or halt_of(seen, limits) is not None:
        return []
    fall = _crash(epochs, limits) or _fall(epochs, limits) or _decline(epochs, limits)
    return [_emission_finding(epochs, fall, limits)] if fall else []


def _paid_epochs(seen: Observation, limits: Thresholds) -> Epochs:
    """Epochs in which anybody could earn: a halt is no past to compare with."""
    return tuple(p for p in seen.own_epochs if p.burn_share < limits.resumed_burn)


def _crash(epochs: Epochs, limits: Thresholds) -> Fall | None:
    base = epochs[-1 - limits.base_tempos : -1]
    if len(base) < limits.least_base_tempos:
        return None
    return _fell("one tempo", _mean(base), epochs[-1].emission, limits.emission_crash)


def _fall(epochs: Epochs, limits: Thresholds) -> Fall | None:
    recent = epochs[-limits.fall_tempos :]
    base = epochs[-limits.fall_tempos - limits.base_tempos : -limits.fall_tempos]
    if len(base) < limits.least_base_tempos:
        return None
    return _fell(f"{limits.fall_tempos} tempos", _mean(base), _mean(recent), limits.emission_fall)


def _decline(epochs: Epochs, limits: Thresholds) -> Fall | None:
    """The last day against the same a week ago."""
    recent = epochs[-limits.base_tempos :]
    until = recent[0].time - 6 * DAY
    past = [p for p in epochs if until - DAY <= p.time <= until]
    if len(recent) < limits.base_tempos or len(past) < limits.least_base_tempos:
        return None
    return _fell("a week", _mean(past), _mean(recent), limits.emission_decline)


def _fell(time: str, before: float, now: float, least: float) -> Fall | None:
    return (time, before, now) if before > 0 and now < (1 - least) * before else None


def _mean(epochs: Epochs | list[HistoryPoint]) -> float:
    return fmean(p.emission for p in epochs)


def _emission_finding(epochs: Epochs, fall: Fall, limits: Thresholds) -> Finding:
    time, before, now = fall
    last, base = epochs[-1], epochs[-1 - limits.base_tempos : -1]
    evidence = [
        f"Emission fell from {before:.4g} to {now:.4g} alpha per tempo over {time} ({share(1 - now / before)})."
    ]
    if last.rank is not None:
        ranks = [p.rank for p in base if p.rank is not None]
        evidence.append(f"Rank {last.rank} of {last.miners}, before that {median(ranks):.0f} in the middle.")
    burned = fmean(p.burn_share for p in base)
    by_burn = last.burn_share - burned > 0.5 * (1 - now / before)
    if by_burn:
        evidence.append(
            f"The burned share rose from {share(burned)} to {share(last.burn_share)}: all miners lost, not this one."
        )
    return Finding(
        code="emission_fell",
        severity=Severity.CRITICAL if last.emission == 0 else Severity.WARNING,
        title=f"emission fell by {share(1 - now / before)} over {time}",
        evidence=tuple(evidence),
        remedy="Nothing here is at fault; wait for the validators."
        if by_burn
        else "See `streetvision doctor` for the reason; `streetvision log stats` shows errors, latencies and scores.",
        since=_since(epochs, before, limits),
        data={"before": before, "now": now, "over": time, "burn_share": last.burn_share, "by_burn": by_burn},
    )


def _since(epochs: Epochs, before: float, limits: Thresholds) -> float:
    """When emission left its old level, going back from now."""
    since = epochs[-1].time
    for point in reversed(epochs):
        if point.emission >= (1 - limits.emission_decline) * before:
            break
        since = point.time
    return since


def rank_fell(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Many miners have passed us."""
    epochs = [p for p in _paid_epochs(seen, limits) if p.rank is not None]
    base = epochs[-limits.fall_tempos - limits.base_tempos : -limits.fall_tempos]
    if len(base) < limits.least_base_tempos or halt_of(seen, limits) is not None:
        return []
    ranks = [p.rank or 0 for p in base]
    before = median(ranks)
    noise = limits.rank_noise * 1.4826 * median(abs(rank - before) for rank in ranks)
    least = max(limits.rank_fall * epochs[-1].miners, limits.least_rank_fall, noise)
    now = median(p.rank or 0 for p in epochs[-limits.fall_tempos :])
    last = epochs[-1].rank or 0
    if now - before < least and last - before < 2 * least:
        return []
    return [_rank_finding(epochs[-1], before, max(now, last))]


def _rank_finding(last: HistoryPoint, before: float, now: float) -> Finding:
    return Finding(
        code="rank_fell",
        severity=Severity.WARNING,
        title=f"rank fell from {before:.0f} to {now:.0f} of {last.miners} miners",
        evidence=(
            f"Over the last tempos the rank by incentive went from {before:.0f} to {now:.0f} of {last.miners}.",
            f"Incentive {last.incentive:.5f}, trust {last.trust:.3f}, consensus {last.consensus:.5f}.",
        ),
        remedy="See `streetvision doctor`; if answers are in time and complete, others answer better: train or pull a "
        "newer model (docs/models.md).",
        data={"before": before, "now": now, "miners": last.miners},
    )


EARNING_RULES = (
    Rule(
        "subnet_halted",
        Severity.CRITICAL,
        "Validators burn (nearly) the whole miners' reward, or no validator sets weights: miners earn nothing now",
        "Keep the miner running and wait; do not register anew",
        subnet_halted,
        of_subnet=True,
    ),
    Rule(
        "emission_fell",
        Severity.CRITICAL,
        "Emission fell by half in a tempo, by 30 % over three, or by a quarter within a week",
        "`streetvision doctor` names the reason",
        emission_fell,
        of_subnet=True,
    ),
    Rule(
        "rank_fell",
        Severity.WARNING,
        "A tenth of the miners have passed this one within three tempos",
        "A better model, when answers are complete and in time",
        rank_fell,
        of_subnet=True,
    ),
)
