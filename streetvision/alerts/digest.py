"""The last day in a few figures, for the operator's morning."""

from __future__ import annotations

from dataclasses import asdict

from streetvision.alerts.alert import AlertItem, Change
from streetvision.alerts.state import AlertState
from streetvision.base.wording import duration, moment, plural, share
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.retraining import run_words
from streetvision.monitor.thresholds import DAY
from streetvision.monitor.traffic import HEADROOM_EDGES, LATENCY_EDGES, TrafficBucket, quantile

Figures = tuple[tuple[str, str], ...]
MOST = 10
"""Events of the day that a digest names."""


def digest(seen: Observation, state: AlertState) -> tuple[Figures, tuple[AlertItem, ...]]:
    """The day in figures, and the events that came and went in it."""
    day = seen.traffic.total(seen.now - DAY, seen.now + 1)
    figures = [*_standing(seen), *_requests(day), *_model(seen), *_retraining(seen), ("wrong now", _wrong(state))]
    over = [event for event in state.events if event.change in (Change.RECOVERED, Change.PASSED)]
    return tuple(figures), tuple(over[-MOST:])


def _standing(seen: Observation) -> list[tuple[str, str]]:
    now = seen.latest
    if now is None:
        return [("standing", "the chain was never read")]
    if not now.registered:
        return [("standing", f"no UID at block {now.block}")]
    before = next((p for p in reversed(seen.points) if p.time <= now.time - DAY and p.registered), None)
    tao = "" if now.tao_per_day is None else f" ({now.tao_per_day:.4g} TAO)"
    figures = [
        ("standing", f"UID {now.uid}, {_rank(now, before)}"),
        ("emission", f"{now.emission_per_day:.4g} alpha a day{tao}{_moved(now, before)}"),
    ]
    if now.burn_share > 0:
        figures.append(("burned", f"{share(now.burn_share)} of the miners' reward"))
    return figures


def _rank(now: HistoryPoint, before: HistoryPoint | None) -> str:
    if now.rank is None:
        return "no rank"
    was = f" ({before.rank} a day ago)" if before is not None and before.rank not in (None, now.rank) else ""
    return f"rank {now.rank} of {now.miners}{was}, incentive {now.incentive:.4f}"


def _moved(now: HistoryPoint, before: HistoryPoint | None) -> str:
    if before is None or before.emission_per_day <= 0:
        return ""
    return f", {100 * (now.emission_per_day / before.emission_per_day - 1):+.0f} % in a day"


def _requests(day: TrafficBucket) -> list[tuple[str, str]]:
    if not day.requests:
        return [("requests", "none")]
    figures = [("requests", f"{day.requests:,}, {share(day.answered / day.requests)} answered")]
    if day.failed:
        worst = sorted(day.failed.items(), key=lambda pair: -pair[1])[:4]
        figures.append(("failed", ", ".join(f"{count:,} {reason}" for reason, count in worst)))
    if day.answered:
        figures.append(("answers", f"{share(day.positive / day.answered)} roadwork"))
    if sum(day.latency):
        figures.append(("99 % answered within", _seconds(quantile(day.latency, LATENCY_EDGES, 0.99), "over 9 s")))
    if sum(day.headroom):
        late = quantile(day.headroom, HEADROOM_EDGES, 0.01)
        figures.append(("1 % had to spare less than", _seconds(late, "no limit")))
    asked = sum(count > 0 for count in day.validators.values())
    return [*figures, ("asked by", plural(asked, "validator"))]


def _seconds(value: float, infinite: str) -> str:
    return infinite if value == float("inf") else f"{value:g} s"


def _model(seen: Observation) -> list[tuple[str, str]]:
    if seen.model is None:
        return []
    age = "" if seen.model.created is None else f", {duration(max(0.0, seen.now - seen.model.created))} old"
    trial = "" if seen.rollout is None or seen.rollout.state == "idle" else f"; {seen.rollout.state.replace('_', ' ')}"
    return [("model", f"{seen.model.name} {seen.model.version}{age}{trial}")]


def _retraining(seen: Observation) -> list[tuple[str, str]]:
    """What came of the last night, and why; nothing where retraining is not configured."""
    view = seen.retrain
    if view is None or not view.configured or view.problem:
        return []
    if view.paused_since is not None:
        return [("retraining", f"paused since {moment(view.paused_since)}")]
    run = view.skipped or view.last
    if run is None:
        return [("retraining", "no run yet")]
    why = f": {run.reason}" if run.reason else ""
    return [("retraining", f"{run_words(asdict(run), seen.now)}{why}")]


def _wrong(state: AlertState) -> str:
    return "; ".join(f"{t.finding.severity.label}: {t.finding.title}" for t in state.active[:MOST]) or "nothing"
