"""This miner earns less than before."""

from __future__ import annotations

from statistics import fmean, median

from streetvision.base.wording import share
from streetvision.monitor.derived import halt_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import DAY, Thresholds

Epochs = tuple[HistoryPoint, ...]
Fall = tuple[str, float, float]
"""Over which time, from which emission, to which."""


def paid_epochs(seen: Observation, limits: Thresholds) -> Epochs:
    """Epochs in which anybody could earn: a halt is no past to compare with."""
    return tuple(p for p in seen.own_epochs if p.burn_share < limits.resumed_burn)


def emission_fell(seen: Observation, limits: Thresholds) -> list[Finding]:
    """We earn clearly less than before."""
    epochs = paid_epochs(seen, limits)
    if not epochs or halt_of(seen, limits) is not None:
        return []
    fall = _crash(epochs, limits) or _fall(epochs, limits) or _decline(epochs, limits)
    return [_emission_finding(epochs, fall, limits)] if fall else []


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


_EPOCHS = Need(
    "too few tempos of this registration",
    lambda seen, limits: len(paid_epochs(seen, limits)) > limits.least_base_tempos,
)

RULES = (
    Rule(
        code="emission_fell",
        order=400,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="Emission fell by half in a tempo, by 30 % over three, or by a quarter within a week",
        remedy="`streetvision doctor` names the reason",
        judge=emission_fell,
        needs=(
            METAGRAPH,
            _EPOCHS,
        ),
        of_subnet=True,
    ),
)
