"""What a rule has to say: a finding with severity, evidence and remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import Thresholds

EvidenceValue = str | int | float | bool | None


class Severity(IntEnum):
    """How much it matters; comparable."""

    INFO = 1
    """Good to know; no alert."""
    WARNING = 2
    """Costs money soon, or some money now."""
    CRITICAL = 3
    """The miner earns nothing, or is about to lose its place."""

    @property
    def label(self) -> str:
        """`info`, `warning` or `critical`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong now. `key` stays the same for as long as it lasts, whatever its figures do."""

    code: str
    severity: Severity
    title: str
    """One sentence without a full stop."""
    evidence: tuple[str, ...]
    """Sentences with the numbers that show it."""
    remedy: str
    """The exact command or step."""
    since: float | None = None
    """Unix seconds at which it began, as far as the history shows."""
    subject: str = ""
    """What it is about when several may hold at once, such as a validator's hotkey; else empty."""
    data: Mapping[str, EvidenceValue] = field(default_factory=lambda: MappingProxyType({}))
    """The evidence's numbers by name, for machines."""

    @property
    def key(self) -> str:
        """Identity across passes: `code` or `code:subject`."""
        return f"{self.code}:{self.subject}" if self.subject else self.code

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            **{name: getattr(self, name) for name in ("key", "code", "title", "remedy", "since", "subject")},
            "severity": self.severity.label,
            "evidence": list(self.evidence),
            "data": dict(self.data),
        }


def worst(findings: tuple[Finding, ...]) -> Severity | None:
    """The highest severity; None when there are no findings."""
    return max((finding.severity for finding in findings), default=None)


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
