"""Other miners have passed this one."""

from __future__ import annotations

from statistics import median

from streetvision.monitor.derived import halt_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import METAGRAPH
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.rules.emission_fell import paid_epochs
from streetvision.monitor.thresholds import Thresholds


def rank_fell(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Many miners have passed us."""
    epochs = _ranked(seen, limits)
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


def _ranked(seen: Observation, limits: Thresholds) -> list[HistoryPoint]:
    return [point for point in paid_epochs(seen, limits) if point.rank is not None]


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


_EPOCHS = Need(
    "too few tempos of this registration",
    lambda seen, limits: len(_ranked(seen, limits)) >= limits.least_base_tempos + limits.fall_tempos,
)

RULES = (
    Rule(
        code="rank_fell",
        order=410,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="A tenth of the miners have passed this one within three tempos",
        remedy="A better model, when answers are complete and in time",
        judge=rank_fell,
        needs=(
            METAGRAPH,
            _EPOCHS,
        ),
        of_subnet=True,
    ),
)
