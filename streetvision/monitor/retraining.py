"""How retraining stands, as the rules judge it and all surfaces show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streetvision.base.wording import duration
from streetvision.retrain_log.records import RunState
from streetvision.settings.retrain import RetrainSettings


@dataclass(frozen=True, slots=True)
class RunView:
    """One run; times are Unix seconds."""

    id: str
    state: str
    """As RunState."""
    began: float
    ended: float | None = None
    step: str = ""
    """At which it stands, or that was not done when it ended; empty where all are done."""
    reason: str = ""
    remedy: str = ""
    version: str = ""
    """That it published."""
    gain: str = ""
    """How a gate found its model better beyond chance; empty where none did."""
    differs: bool = False
    """Whether it was kept out where a new model is only compared with the serving one, by requests without labels."""
    curves: str = ""
    """Address of its curves at W&B."""


@dataclass(frozen=True, slots=True)
class RetrainView:
    """Retraining at one moment; times are Unix seconds."""

    configured: bool = True
    """Whether the settings name what a run needs."""
    max_idle_days: float = RetrainSettings.max_idle_days
    """Days without a run that came to its decision, from which on it is a fault; 0: never."""
    last: RunView | None = None
    """The run that began last."""
    decided_at: float | None = None
    """When the last run came to its decision."""
    skipped: RunView | None = None
    """The last night, where the conditions of a run were not met in it."""
    paused_since: float | None = None
    pause_reason: str = ""
    next_run: float | None = None
    """When the service begins the next one; None where no service runs."""
    month_gpu_hours: float = 0.0
    """Since the first of the calendar month, in UTC."""
    month_money: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    """All runs by RunState."""
    problem: str = ""
    """Why the log cannot be read: all the rest is unknown then."""


def run_words(run: Mapping[str, Any], now: float) -> str:
    """A RunView's fields in one line, without its reason: `promoted 1.6.0 2 h ago`, `running for 5 min, step train`."""
    state, version = str(run["state"]).replace("_", " "), f" {run['version']}" if run["version"] else ""
    at = f", step {run['step']}" if run["step"] else ""
    if run["state"] == RunState.RUNNING:
        return f"running for {duration(max(0.0, now - run['began']))}{at}"
    ended = run["began"] if run["ended"] is None else run["ended"]
    return f"{state}{version} {duration(max(0.0, now - ended))} ago{at}"
