"""What a rule is: a pure function with a code, its meaning, its gravest severity and its remedy for the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import Thresholds

Judge = Callable[[Observation, Thresholds], list[Finding]]
"""Findings that hold now; none when all is well or too little is known."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; every finding of `judge` carries `code`."""

    code: str
    severity: Severity
    """The gravest it can find."""
    meaning: str
    """For docs/monitoring.md, one sentence without a full stop."""
    remedy: str
    """In general; a finding names the exact step."""
    judge: Judge
    of_subnet: bool = False
    """Whether it judges the subnet as the chain shows it now: silent while the node lags."""
