"""What one check says: a mark, the evidence for it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from streetvision.monitor.finding import Finding, Severity


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"
    """Nothing could be said, or there is nothing to check; the evidence says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor."""

    name: str
    mark: Mark
    evidence: str
    remedy: str = ""
    """The exact command or step; never empty for a warning or a failure."""

    def as_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return {"name": self.name, "mark": self.mark.value, "evidence": self.evidence, "remedy": self.remedy}


def ok(name: str, evidence: str) -> Check:
    """All is well."""
    return Check(name, Mark.OK, evidence)


def warning(name: str, evidence: str, remedy: str) -> Check:
    """The miner works, but not as it should."""
    return Check(name, Mark.WARNING, evidence, remedy)


def failure(name: str, evidence: str, remedy: str) -> Check:
    """The miner cannot work, or cannot earn, because of this."""
    return Check(name, Mark.FAILURE, evidence, remedy)


def skipped(name: str, evidence: str, remedy: str = "") -> Check:
    """Not checked."""
    return Check(name, Mark.SKIPPED, evidence, remedy)


NOT_OURS = frozenset({"subnet_halted"})
"""Grave, but nothing on this machine is at fault: never a failure."""


def of_finding(name: str, finding: Finding) -> Check:
    """A rule's finding as a check."""
    evidence = f"{finding.title}. {' '.join(finding.evidence)}".strip()
    if finding.severity is Severity.CRITICAL and finding.code not in NOT_OURS:
        return failure(name, evidence, finding.remedy)
    if finding.severity is Severity.INFO:
        return ok(name, evidence)
    return warning(name, evidence, finding.remedy)


def gravest(name: str, findings: Iterable[Finding], codes: Iterable[str]) -> Check | None:
    """The check that the gravest finding with one of these codes makes; None without one. `findings` are in order."""
    wanted = frozenset(codes)
    found = next((finding for finding in findings if finding.code in wanted), None)
    return None if found is None else of_finding(name, found)
