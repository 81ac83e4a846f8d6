"""A finding: one thing that is wrong, with its severity, evidence and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

EvidenceValue = str | int | float | bool | None


class Severity(IntEnum):
    """How grave a finding is; comparable."""

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
    """Tells findings of one rule apart, such as a validator's hotkey; empty where there can be only one."""
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


def read_finding(fields: Mapping[str, Any]) -> Finding:
    """The finding that `as_dict` wrote, without its data; KeyError, TypeError or ValueError for anything else."""
    since = fields.get("since")
    return Finding(
        code=str(fields["code"]),
        severity=read_severity(fields["severity"]),
        title=str(fields["title"]),
        evidence=tuple(map(str, fields["evidence"])),
        remedy=str(fields["remedy"]),
        since=None if since is None else float(since),
        subject=str(fields["subject"]),
    )


def read_severity(label: object) -> Severity:
    """The severity with this label; KeyError for none."""
    return {level.label: level for level in Severity}[str(label)]
