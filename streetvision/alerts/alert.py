"""A message to the operator: about one or several changes, a daily digest, or a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from streetvision.base.wording import duration, plural
from streetvision.monitor.finding import Finding, Severity, read_finding

Kind = Literal["alert", "digest", "test"]


class Change(StrEnum):
    """How a finding has changed."""

    RAISED = "raised"
    WORSE = "worse"
    """It was told as a warning and is critical now."""
    REMINDER = "reminder"
    """It still holds."""
    RECOVERED = "recovered"
    PASSED = "passed"
    """It came and went in quiet hours: for the digest alone."""


@dataclass(frozen=True, slots=True)
class AlertItem:
    """One change of one finding."""

    change: Change
    finding: Finding
    """Its severity is the one told to the operator."""
    began: float
    """Unix seconds."""
    at: float
    """Unix seconds of this change."""

    @property
    def lasted(self) -> str:
        """`3 h 20 min`."""
        return duration(max(0.0, self.at - self.began))

    @property
    def headline(self) -> str:
        """One line: `CRITICAL: the hotkey has no UID`, `recovered after 3 h: ...`."""
        severity = self.finding.severity.label.upper()
        prefix = {
            Change.RECOVERED: f"recovered after {self.lasted}",
            Change.WORSE: f"now {severity}",
            Change.REMINDER: f"still {severity}, for {self.lasted}",
            Change.PASSED: f"came and went ({self.lasted})",
        }
        return f"{prefix.get(self.change, severity)}: {self.finding.title}"

    @property
    def lines(self) -> tuple[str, ...]:
        """Its evidence, for people; none once it is over."""
        return () if self.change is Change.RECOVERED else self.finding.evidence

    @property
    def remedy(self) -> str:
        """Its remedy, for people; empty once it is over."""
        return "" if self.change is Change.RECOVERED else self.finding.remedy

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        finding = self.finding.as_dict()
        told = {name: finding[name] for name in ("code", "severity", "title", "evidence", "remedy")}
        return {
            "change": self.change.value,
            **told,
            "began": self.began,
            "at": self.at,
            "subject": self.finding.subject,
        }


@dataclass(frozen=True, slots=True)
class Alert:
    """One message."""

    kind: Kind
    at: float
    """Unix seconds."""
    miner: str
    """The operator's name for this miner."""
    hotkey: str
    netuid: int
    items: tuple[AlertItem, ...] = ()
    more: int = 0
    """Changes that found no room in `items`."""
    figures: tuple[tuple[str, str], ...] = ()
    """Of a digest: names and values."""

    @property
    def severity(self) -> Severity:
        """The gravest that holds; INFO when all news is good."""
        holds = (item.finding.severity for item in self.items if item.change not in (Change.RECOVERED, Change.PASSED))
        return max(holds, default=Severity.INFO)

    @property
    def recovers(self) -> bool:
        """Whether it tells of recoveries alone."""
        return bool(self.items) and all(item.change is Change.RECOVERED for item in self.items)

    @property
    def alone(self) -> bool:
        """Whether its title names its only change."""
        return self.kind == "alert" and len(self.items) == 1 and not self.more

    @property
    def title(self) -> str:
        """One line for the whole message."""
        if self.kind == "test":
            return f"{self.miner}: this is a test, alerts arrive"
        if self.kind == "digest":
            return f"{self.miner}: the last day"
        if self.alone:
            return f"{self.miner}: {self.items[0].headline}"
        word = "recovered" if self.recovers else self.severity.label.upper()
        return f"{self.miner}: {word}, {plural(len(self.items) + self.more, 'change')}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `read_alert` reads them back."""
        return {
            "kind": self.kind,
            "at": self.at,
            "miner": self.miner,
            "hotkey": self.hotkey,
            "netuid": self.netuid,
            "severity": self.severity.label,
            "title": self.title,
            "items": [item.as_dict() for item in self.items],
            "more": self.more,
            "figures": [list(pair) for pair in self.figures],
        }


def read_item(fields: Mapping[str, Any]) -> AlertItem:
    """An item from its plain values; KeyError, TypeError or ValueError for anything else."""
    return AlertItem(
        change=Change(fields["change"]),
        finding=read_finding(fields),
        began=float(fields["began"]),
        at=float(fields["at"]),
    )


def read_alert(fields: Mapping[str, Any]) -> Alert:
    """An alert from its plain values; KeyError, TypeError or ValueError for anything else."""
    kinds: dict[str, Kind] = {"alert": "alert", "digest": "digest", "test": "test"}
    return Alert(
        kind=kinds[fields["kind"]],
        at=float(fields["at"]),
        miner=str(fields["miner"]),
        hotkey=str(fields["hotkey"]),
        netuid=int(fields["netuid"]),
        items=tuple(read_item(item) for item in fields["items"]),
        more=int(fields["more"]),
        figures=tuple((str(name), str(value)) for name, value in fields["figures"]),
    )
