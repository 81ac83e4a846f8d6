"""Retraining is configured, and no run has trained a model for long."""

from __future__ import annotations

from dataclasses import asdict

from streetvision.base.wording import moment
from streetvision.monitor.derived import halt_of
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_with_retraining
from streetvision.monitor.observation import Observation
from streetvision.monitor.retraining import RetrainView, run_words
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import DAY, Thresholds
from streetvision.retrain_log.records import RunState

_PLAN = "`streetvision retrain plan` says what the next run waits for."
RECENT_S = 2 * DAY
"""A run, or a night without one, that is older says nothing about now."""


def retrain_idle(seen: Observation, limits: Thresholds) -> list[Finding]:
    """No run came to a decision for --retrain.max_idle_days; a halted subnet, in which none begins, excuses that."""
    view = seen.retrain
    if view is None or not view.configured or view.problem or not view.max_idle_days:
        return []
    since = seen.traffic.listening_since if view.decided_at is None else view.decided_at
    going = view.last is not None and view.last.state == RunState.RUNNING
    if since is None or going or seen.now - since < view.max_idle_days * DAY or halt_of(seen, limits):
        return []
    why, remedy = _why(view, seen.now)
    return [
        Finding(
            code="retrain_idle",
            severity=Severity.WARNING,
            title=f"no model was retrained for {(seen.now - since) / DAY:.0f} days",
            evidence=(_since(view, since), why),
            remedy=remedy,
            since=since + view.max_idle_days * DAY,
            data={"days": round((seen.now - since) / DAY, 1), "max_idle_days": view.max_idle_days},
        )
    ]


def _since(view: RetrainView, since: float) -> str:
    limit = f"{view.max_idle_days:g} are allowed (--retrain.max_idle_days)"
    if view.decided_at is None:
        return f"No run has come to a decision yet, and the miner has served since {moment(since)}; {limit}."
    return f"The last run that came to a decision ended {moment(since)}; {limit}."


def _why(view: RetrainView, now: float) -> tuple[str, str]:
    """What keeps runs from deciding, and what to do about it."""
    if view.paused_since is not None:
        reason = f" ({view.pause_reason})" if view.pause_reason else ""
        return f"It is paused since {moment(view.paused_since)}{reason}.", "End the pause: streetvision retrain resume."
    run = view.skipped or view.last
    if run is not None and now - run.began < RECENT_S:
        ended = "" if run.state == RunState.NOTHING_TO_DO else f" {run_words(asdict(run), now)}"
        return f"Run {run.id}{ended}: {run.reason or 'it gave no reason'}.", f"{run.remedy or _PLAN}"
    if view.next_run is None:
        return (
            "No run was begun lately, and `streetvision retrain serve` does not run here.",
            f"Start it, or see that cron does its work (docs/retraining.md). {_PLAN}",
        )
    return f"No run was begun lately; the next is due {moment(view.next_run)}.", _PLAN


RULES = (
    Rule(
        code="retrain_idle",
        order=1030,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="Retraining is configured, and for `--retrain.max_idle_days` (14) no run trained a model and came to a"
        " decision, though the subnet is not halted",
        remedy="The finding names what runs wait for: labels, a pause, the schedule",
        judge=retrain_idle,
        absence=proves_with_retraining,
    ),
)
