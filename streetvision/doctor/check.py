"""A check: a mark, the evidence for it, and the remedy; and the report of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from streetvision import __version__
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.rule_pass import finding_words, is_grave
from streetvision.monitor.unjudged import Unjudged

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Installation": ("settings", "versions", "device", "runner", "compiler", "mining", "video"),
    "Keys": ("hotkey", "coldkey"),
    "Chain": ("chain", "registered", "endpoint", "port", "reachable", "refused", "clock"),
    "Model": ("model", "card", "backend", "oracle", "synthetic"),
    "Machine": ("miner", "metrics", "state", "disk", "memory", "log", "history"),
}
"""The checks, in the order in which they are read; every name appears in every report."""


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


@dataclass(frozen=True)
class Report:
    """All checks, the rules that were not judged, and the diagnosis."""

    checks: tuple[Check, ...]
    """In the order of SECTIONS, then one for each finding that no check covers."""
    diagnosis: Mapping[str, Any] = field(default_factory=dict)
    """`cause`, `title`, `evidence`, `remedy`, `ruled_out`; empty when the settings could not be read."""
    unjudged: tuple[Unjudged, ...] = ()
    """Rules that know too little."""

    def without_secrets(self, scrub: Callable[[str], str]) -> Report:
        """The same, every text passed through `scrub`."""
        checks = tuple(Check(c.name, c.mark, scrub(c.evidence), scrub(c.remedy)) for c in self.checks)
        diagnosis = {name: _scrubbed(value, scrub) for name, value in self.diagnosis.items()}
        return replace(self, checks=checks, diagnosis=diagnosis)

    @property
    def failed(self) -> bool:
        """Whether anything must be put right."""
        return any(check.mark is Mark.FAILURE for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "ok": not self.failed,
            "version": __version__,
            "checks": [check.as_dict() for check in self.checks],
            "unjudged": [asdict(rule) for rule in self.unjudged],
            "why_not_earning": dict(self.diagnosis),
        }


def _scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: _scrubbed(inner, scrub) for name, inner in value.items()}
    return [_scrubbed(inner, scrub) for inner in value] if isinstance(value, list | tuple) else value


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


def of_finding(name: str, finding: Finding) -> Check:
    """A rule's finding as a check."""
    evidence = finding_words(finding)
    if is_grave(finding.code, finding.severity):
        return failure(name, evidence, finding.remedy)
    if finding.severity is Severity.INFO:
        return ok(name, evidence)
    return warning(name, evidence, finding.remedy)
